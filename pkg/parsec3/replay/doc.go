// Package replay follows the certificates of an organization of Parsec 3 in their order,
// topic by topic, and objects to what official clients refuse
// (docs/protocol/v5/certificates.md §8). A client follows what it is told; who checks a
// database, all that there is.
package replay
