package main

import (
	"fmt"
	"os"
	"path/filepath"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// exportTarget is where a realm is exported to, whatever its generation.
type exportTarget struct {
	organization parsec.OrganizationID
	path         string
	// total is how many bytes there are.
	total int64
	// goesOn is what goes on with an export that was stopped.
	goesOn string
}

// withBlocks opens the block store that options name for the time of work.
func (p program) withBlocks(options *settingsFlags, work func(blockstore.Store) error) error {
	settings, err := p.requiredArray(options)
	if err != nil {
		return err
	}
	database, err := config.LoadDatabase(options.given, p.environment)
	if err != nil {
		return err
	}
	blocks, end, err := openBlockStore(*settings, database)
	if err != nil {
		return err
	}
	defer end()
	return work(blocks)
}

// followExport shows how far run is, which writes the export, and the blocks that the
// block store does not have.
func (p program) followExport(to exportTarget, run func(advance func(items int, bytes int64), lost func(parsec.BlockID)) error) error {
	progress := newProgress(p.stdout, p.stderr, to.total)
	defer progress.end()
	missing := 0
	err := run(func(items int, bytes int64) { progress.advance(int64(items), bytes) }, func(block parsec.BlockID) {
		missing++
		progress.line(fmt.Sprintf("lost %s/%s: the block store does not have it", to.organization, block))
	})
	if err != nil {
		return incomplete(err, to.goesOn)
	}
	progress.line("Realm exported to " + to.path)
	if missing > 0 {
		return errProblems
	}
	return nil
}

// inFolder returns the file that output names, or of a name in the folder output, "" for
// the current one.
func inFolder(output, name string) string {
	if output == "" {
		return name
	}
	if information, err := os.Stat(output); err == nil && information.IsDir() {
		return filepath.Join(output, name)
	}
	return output
}
