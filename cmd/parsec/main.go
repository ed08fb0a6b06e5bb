// Command parsec is the server and its tools.
package main

import (
	"context"
	"fmt"
	"os"

	"parsec-server/pkg/config"
)

func main() {
	os.Exit(execute())
}

func execute() int {
	environment, err := config.ReadEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return exitFailure
	}
	ctx, stop := untilSignal(context.Background())
	defer stop()
	return run(ctx, os.Args[1:], environment, os.Stdout, os.Stderr)
}
