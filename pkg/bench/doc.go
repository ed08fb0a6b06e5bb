// Package bench runs a load of connections and reports how fast it was
// answered: the loop of each connection, its latencies and errors, and the
// report. It knows no message: what a connection does is the caller's.
//
// Each connection is a loop that starts an operation when the previous one has
// ended: the rate is what the server reaches, not what was asked. The clock is
// the real one, since it is what is measured.
//
// A Meter belongs to the goroutine of its connection until that ends; then it is
// added to the report.
package bench
