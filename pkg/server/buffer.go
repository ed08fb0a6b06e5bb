package server

import (
	"io"
	"slices"
	"sync"
)

// bufferClasses are the capacities of pooled buffers, in bytes: a command that
// waits keeps its message, so the smallest is for those; then come ordinary
// messages, a block of the default size, and the largest bin with what is
// around it. Longer messages are not pooled.
var bufferClasses = [...]int{256, 8 << 10, 64 << 10, 640 << 10, 1<<20 + 64<<10}

var bufferPools [len(bufferClasses)]sync.Pool

// getBuffer returns an empty buffer with room for size bytes, that goes back
// with PutBuffer.
func getBuffer(size int) *[]byte {
	for i, capacity := range bufferClasses {
		if size <= capacity {
			if buffer, ok := bufferPools[i].Get().(*[]byte); ok {
				return buffer
			}
			buffer := make([]byte, 0, capacity)
			return &buffer
		}
	}
	buffer := make([]byte, 0, size)
	return &buffer
}

// PutBuffer returns a buffer to the pool of the class that it fills.
func PutBuffer(buffer *[]byte) {
	*buffer = (*buffer)[:0]
	for i, capacity := range slices.Backward(bufferClasses[:]) {
		if cap(*buffer) >= capacity {
			if cap(*buffer) <= 2*capacity {
				bufferPools[i].Put(buffer)
			}
			return
		}
	}
}

// ReadMessage reads reader to its end into a pooled buffer, which grows with
// what arrives: an announced size is not believed. It asks allow before it
// grows to a capacity, whose error ends the reading.
func ReadMessage(reader io.Reader, allow func(capacity int) error) (*[]byte, error) {
	buffer := getBuffer(0)
	for {
		if len(*buffer) == cap(*buffer) {
			capacity := nextCapacity(cap(*buffer))
			if err := allow(capacity); err != nil {
				PutBuffer(buffer)
				return nil, err
			}
			grown := getBuffer(capacity)
			*grown = append(*grown, *buffer...)
			PutBuffer(buffer)
			buffer = grown
		}
		n, err := reader.Read((*buffer)[len(*buffer):cap(*buffer)])
		*buffer = (*buffer)[:len(*buffer)+n]
		if err == io.EOF {
			return buffer, nil
		}
		if err != nil {
			PutBuffer(buffer)
			return nil, err
		}
	}
}

// nextCapacity returns the class above capacity, or its double beyond the
// classes.
func nextCapacity(capacity int) int {
	for _, class := range bufferClasses {
		if capacity < class {
			return class
		}
	}
	return 2 * capacity
}
