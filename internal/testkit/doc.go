// Package testkit starts what tests need: servers, and the real components
// that they depend on. What a wing needs of it stands in files of its own.
package testkit

// AdministrationToken opens the administration of every test instance.
const AdministrationToken = "s3cr3t"

// storeVariable, set to POSTGRESQL, has every test that gets its store from
// here run on PostgreSQL.
const storeVariable = "PARSEC_TEST_STORE"
