// Package cluster tests what holds when several servers share a database: two
// processes of the real command race, fail and come back over one PostgreSQL.
package cluster
