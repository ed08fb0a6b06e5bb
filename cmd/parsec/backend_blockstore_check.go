package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
	"parsec-server/pkg/config"
)

const deepHelp = "Read every copy and chunk, verify checksums, compare copies and recompute parities. Otherwise lists of objects tell what to read."

// checkOptions are those of check and repair.
type checkOptions struct{ deep, repair, addChecksums bool }

func (p program) blockstoreCheckCommand() *cobra.Command {
	command, check := p.newCheckCommand("check", "Find blocks that nodes do not have, or not as they should. It changes nothing in the block store.")
	command.Flags().BoolVar(&check.addChecksums, "apply", false, "With --deep, give the blocks their checksums that have none in the database and are as they should be.")
	return command
}

func (p program) blockstoreRepairCommand() *cobra.Command {
	command, check := p.newCheckCommand("repair", "Write copies and chunks again that are missing or wrong, where the others tell what they should be.")
	command.Flags().BoolVar(&check.repair, "apply", false, "Write. Otherwise only tell what is wrong, as check does.")
	return command
}

// newCheckCommand makes a command that checks as the options say when it runs.
func (p program) newCheckCommand(name, short string) (*cobra.Command, *checkOptions) {
	command := &cobra.Command{Use: name, Short: short, Args: noArguments}
	options, check := &blockstoreOptions{}, &checkOptions{}
	options.define(command, afterBlock)
	command.Flags().BoolVar(&check.deep, "deep", false, deepHelp)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if check.addChecksums && !check.deep {
			return &config.UsageError{Message: "--apply needs --deep: a checksum is that of what was read."}
		}
		ctx := command.Context()
		return p.onArray(ctx, options, func(s *session, array *blockstore.Array) error { return s.check(ctx, array, *check) })
	}
	return command, check
}

func (s *session) check(ctx context.Context, array *blockstore.Array, check checkOptions) error {
	walk, err := s.walk(ctx)
	if err != nil {
		return err
	}
	options := scrub.CheckOptions{Deep: check.deep, Repair: check.repair}
	var added atomic.Int64
	if check.addChecksums {
		options.AddChecksum = func(ctx context.Context, block blockstore.Block) error {
			added.Add(1)
			return s.blocks.addChecksum(ctx, block)
		}
	}
	last, err := scrub.Check(ctx, walk, array, options)
	words := fmt.Sprintf("%d blocks checked, %s: %s", s.counts.Blocks, byteCount(s.counts.Bytes), s.problemList())
	if check.repair {
		words += fmt.Sprintf("; %d repaired", s.done)
	}
	if check.addChecksums {
		words += fmt.Sprintf("; %d checksums added", added.Load())
	}
	return s.finish(blockName(last), err, s.counts, words+".")
}
