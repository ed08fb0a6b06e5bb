// Package datafolder keeps all that a server of one machine has in one folder
// (docs/hosting.md): a PostgreSQL of its own, made of the programs that are
// installed, the blocks, and the administration token. It saves such a folder in an
// archive while the server runs, and makes a folder of an archive.
//
//	<folder>/lock                  who uses the folder
//	<folder>/administration-token
//	<folder>/blocks/               the block store (blockstore.Folder)
//	<folder>/postgres/             the data of PostgreSQL
//	<folder>/run/                  its socket, that no other user can open
//
// Whoever opens a folder holds it until Close: by a lock of the file system, which
// ends with the process, and against other machines, which may not see that lock, by
// a file that changes all the time.
//
// Each goroutine ends with what started it: that of the lock with Close, that of
// PostgreSQL with Stop.
package datafolder
