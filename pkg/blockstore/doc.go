// Package blockstore keeps the bytes of blocks (docs/protocol/blockstore.md):
// in memory, in S3 or in Swift, on one node or on several by RAID 0, 1 or 5.
// docs/blockstore.md is its operators' side. Every store implements
// Store and passes the suite of exercise_test.go.
//
// # How a store is put together
//
// S3 and Swift try once and know no limit but their context. Limited goes
// around each of them: it bounds a try, a call and the calls at once, and
// repeats what may succeed later. RAID goes around the limited nodes.
//
// Above all of them, Gate is what the commands of clients go through.
//
// # What all stores keep to
//
//   - Read says ErrNotFound only if the store, or each of its
//     nodes, positively has no such block. Whatever else goes wrong is another
//     error, which the rules report as a store that is not available.
//   - Bytes that may be half an object are an error.
//   - Create returns when it writes no more and reads block no more, whatever
//     it returns. A request that was cut may still take effect in the remote
//     store: the same id is never given two different contents that both
//     count, because metadata follows a Create that succeeded.
//   - No goroutine outlives the call that started it, but for the one that
//     repairs the nodes of a RAID, which Close ends.
package blockstore
