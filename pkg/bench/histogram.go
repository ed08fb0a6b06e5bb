package bench

import (
	"math"
	"math/bits"
	"time"
)

// The buckets of a histogram: each power of two of nanoseconds is cut into 32,
// so that a quantile is at most 1/32 above the value. Beyond 2^39 ns (nine
// minutes) all values share the last bucket.
const (
	partBits    = 5
	parts       = 1 << partBits
	valueBits   = 39
	bucketCount = (valueBits - partBits + 1) * parts
)

// histogram counts durations. It is not safe for concurrent use.
type histogram struct {
	buckets [bucketCount]uint64
	count   uint64
	longest time.Duration
}

// record counts one duration; a negative one is 0.
func (h *histogram) record(duration time.Duration) {
	duration = max(duration, 0)
	h.buckets[bucketOf(uint64(duration))]++
	h.count++
	h.longest = max(h.longest, duration)
}

// add counts what other has counted.
func (h *histogram) add(other *histogram) {
	for i, count := range other.buckets {
		h.buckets[i] += count
	}
	h.count += other.count
	h.longest = max(h.longest, other.longest)
}

// quantile returns a duration that the given part of all, between 0 and 1, does not
// exceed; 0 when there is none.
func (h *histogram) quantile(part float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := max(1, uint64(math.Ceil(part*float64(h.count))))
	seen := uint64(0)
	for i, count := range h.buckets {
		if seen += count; seen >= rank {
			return min(lastOf(i), h.longest)
		}
	}
	return h.longest
}

// bucketOf returns the bucket of a number of nanoseconds.
func bucketOf(value uint64) int {
	if value < parts {
		return int(value)
	}
	shift := bits.Len64(value) - 1 - partBits
	return min((shift+1)*parts+int(value>>shift)-parts, bucketCount-1)
}

// lastOf returns the longest duration of a bucket, without end for the last one.
func lastOf(bucket int) time.Duration {
	if bucket == bucketCount-1 {
		return math.MaxInt64
	}
	if bucket < parts {
		return time.Duration(bucket)
	}
	shift := bucket/parts - 1
	return time.Duration(uint64(bucket%parts+parts+1)<<shift - 1)
}
