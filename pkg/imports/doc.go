// Package imports brings what databases of the official server hold into a database of
// this server (docs/protocol/import.md). It has what both generations need: what a source
// is and how it is read, the report, the copy of tables that only grow, what is remembered
// of it, and its end. What the tables of a generation mean is known to its Wing alone.
//
// # The source
//
// A Snapshot is one transaction that can only read, and sees the source at one instant.
//
// # The target
//
// Rows have the numbers that they have in the source, plus one number that is the same
// for all tables, so that nothing needs to be remembered row by row, and a row that comes
// again is recognized. What is small, or may change, is read again by each run, and put by
// Filling. What only grows is a Log, which is read in ranges of numbers: a range and its
// mark are committed together, and a later run reads what has been added. PostgreSQL gives
// numbers out before it commits, so a later run counts each range again, and reads one
// again where there is more.
//
// An organization answers no client before a run with Options.Final has ended.
package imports
