// Package bench loads a server with one kind of work, as many clients would,
// and tells how fast it answers.
//
// A run makes its own organization with a random name, and leaves it behind.
// Each connection is a loop that sends a command, waits for its reply and
// sends the next: the rate is what the server gives, not what was asked for.
// The clock is the real one, since it is what is measured.
//
// A worker is owned by its goroutine until that ends; then its figures are
// added to the report. No operation of the steady workloads allocates more
// than the client needs, because the program often shares its processors with
// the server.
package bench
