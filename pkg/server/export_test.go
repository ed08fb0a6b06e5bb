package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/wire"
)

// MaxHeaderBytes is a limit that tests reach.
const MaxHeaderBytes = maxHeaderBytes

// PoolIsClean returns what is wrong with a buffer that went through the pools.
func PoolIsClean(size int) error {
	buffer := getBuffer(size)
	defer PutBuffer(buffer)
	if len(*buffer) != 0 || cap(*buffer) < size {
		return fmt.Errorf("a buffer for %d bytes has length %d and capacity %d", size, len(*buffer), cap(*buffer))
	}
	return nil
}

// EncodeReply returns how a reply is encoded, with the capacity of its buffer.
func EncodeReply(reply any) (encoded []byte, capacity int, err error) {
	buffer, err := encodeReply(wire.Seconds, reply)
	if err != nil {
		return nil, 0, err
	}
	return *buffer, cap(*buffer), nil
}

// EndStreams ends as many streams, and returns when the first and the last ended.
func EndStreams(ctx context.Context, streams int, next lifecycle.Succession) (first, last time.Duration) {
	begun := time.Now()
	first = -1
	spread(ctx, streams, next, func(int) {
		last = time.Since(begun)
		if first < 0 {
			first = last
		}
	})
	return first, last
}

// HasSpoken is for connections that tests make.
var HasSpoken = hasSpoken

// AdministrationPaths returns the methods of each path of REST administration.
func AdministrationPaths() map[string][]string {
	paths := map[string][]string{}
	for path, handlers := range administrationTable() {
		paths[path] = slices.Collect(maps.Keys(handlers))
	}
	return paths
}
