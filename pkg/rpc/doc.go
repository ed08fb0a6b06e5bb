// Package rpc says how a command is defined, bound to its rule, and answered.
// It knows no message: each wing defines its commands as typed values, and
// hands its server a table of those that it answers.
package rpc
