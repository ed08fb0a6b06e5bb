// Package deploy is what servers are deployed with. Its tests run it.
package deploy
