// Package testclient is what the official clients do and no command of ours:
// they verify trust chains and the roles of a realm, meet other clients for an
// invitation, and join with a smartcard. Tests of whole servers need it.
package testclient
