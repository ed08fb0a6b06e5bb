// Package e2e holds the end-to-end tests: whole servers on real ports, and the
// Go client that speaks every API version to them.
//
// Nothing is waited for but replies, events and closes. That a device hears
// nothing is proved by a ping of another one: events come in order, so what is
// not before the ping was not sent.
package e2e
