// Package hostile has thousands of hostile clients against the command in a
// process of its own, as little memory as it may have, and one good client that
// must not notice (docs/limits.md).
package hostile
