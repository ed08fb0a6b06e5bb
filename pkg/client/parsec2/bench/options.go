package bench

import (
	"errors"

	"parsec-server/pkg/bench"
)

// Workloads lists what clients of API 1 to 3 can do.
func Workloads() []bench.Workload {
	return []bench.Workload{
		bench.Ping, bench.VlobCreate, bench.VlobUpdate, bench.VlobRead, bench.BlockCreate, bench.BlockRead,
		bench.Connect, bench.Fanout, bench.Mix, bench.Idle,
	}
}

// check returns what is wrong with options, or nil.
func check(options *bench.Options) error {
	if options.API < 1 || options.API > 3 {
		return errors.New("the API must be 1, 2 or 3")
	}
	return options.Check(Workloads())
}
