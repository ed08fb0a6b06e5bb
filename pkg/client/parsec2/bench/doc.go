// Package bench loads a server with one kind of work, as many clients of API 1
// to 3 would, and reports how fast it answers.
//
// A run makes its own organization with a random name, and leaves it behind. No
// operation of the steady workloads allocates more than the client needs,
// because the program often shares its processors with the server.
package bench
