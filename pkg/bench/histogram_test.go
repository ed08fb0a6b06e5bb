package bench

import (
	"math"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	upTo := func(n int) []time.Duration {
		list := make([]time.Duration, n)
		for i := range list {
			list[i] = time.Duration(n-i) * time.Microsecond
		}
		return list
	}
	for name, item := range map[string]struct {
		durations []time.Duration
		want      map[float64]time.Duration
	}{
		"none":     {nil, map[float64]time.Duration{0: 0, 0.5: 0, 1: 0}},
		"one":      {[]time.Duration{1234567}, map[float64]time.Duration{0: 1234567, 0.5: 1234567, 1: 1234567}},
		"small":    {[]time.Duration{1, 2, 3, 4}, map[float64]time.Duration{0.25: 1, 0.5: 2, 0.51: 3, 0.75: 3, 1: 4}},
		"negative": {[]time.Duration{-5, 10}, map[float64]time.Duration{0.5: 0, 1: 10}},
		"thousand": {upTo(1000), map[float64]time.Duration{
			0.5: 500 * time.Microsecond, 0.95: 950 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond,
		}},
		"one of a hundred is slow": {append(make([]time.Duration, 99), time.Second), map[float64]time.Duration{
			0.5: 0, 0.99: 0, 0.991: time.Second, 1: time.Second,
		}},
		"beyond the last bucket": {[]time.Duration{time.Hour, 2 * time.Hour}, map[float64]time.Duration{
			0.5: 2 * time.Hour, 1: 2 * time.Hour,
		}},
	} {
		var h histogram
		for _, duration := range item.durations {
			h.record(duration)
		}
		for part, want := range item.want {
			got := h.quantile(part)
			if got < want || float64(got) > float64(want)*(1+1.0/parts) {
				t.Errorf("%s: quantile %v is %s, want %s or little more", name, part, got, want)
			}
		}
	}
}

func TestBucketsFollowEachOther(t *testing.T) {
	for bucket := range bucketCount - 1 {
		last := uint64(lastOf(bucket))
		if bucketOf(last) != bucket || bucketOf(last+1) != bucket+1 {
			t.Fatalf("bucket %d ends with %d, which is in %d, its successor in %d",
				bucket, last, bucketOf(last), bucketOf(last+1))
		}
	}
	if got := bucketOf(math.MaxInt64); got != bucketCount-1 {
		t.Errorf("the longest duration is in bucket %d", got)
	}
}

func TestHistogramsAddUp(t *testing.T) {
	var whole, first, second histogram
	for i := range 1000 {
		duration := time.Duration(i*i) * time.Microsecond
		whole.record(duration)
		if i%3 == 0 {
			first.record(duration)
		} else {
			second.record(duration)
		}
	}
	first.add(&second)
	if first != whole {
		t.Error("the sum of two histograms differs from the histogram of all")
	}
}
