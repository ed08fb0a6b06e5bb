// Package bench loads a running server as clients of API 5 do, and measures how
// fast it answers: a request of HTTP and a signed token each.
package bench
