package parsec2

import (
	"container/list"
	"net/netip"
	"sync"

	"parsec-server/pkg/throttle"
)

// visitorBytes is about what a WebSocket costs by itself: half of the memory of
// strangers may go to those in their handshake, as much to those that settled.
const visitorBytes = 16 << 10

// visitors bounds the WebSockets that are not authenticated, by network and in
// all: those in their handshake, and those that settled, anonymous or invited.
// Its methods are safe for concurrent use.
type visitors struct {
	perNetwork int // 0 for no limit
	// most bounds each of the lists.
	most int

	mu       sync.Mutex
	counts   map[netip.Prefix]int
	arriving list.List // of *visit, the oldest first
	settled  list.List
}

func newVisitors(perNetwork, most int) *visitors {
	return &visitors{perNetwork: perNetwork, most: most, counts: map[netip.Prefix]int{}}
}

// visit is one WebSocket that is counted. Its fields are guarded by the mu of
// the visitors.
type visit struct {
	visitors *visitors
	network  netip.Prefix
	// place is nil once it is over.
	place *list.Element
	in    *list.List
	// end cuts the WebSocket; nil until there is one.
	end func()
}

// enter counts one more WebSocket of address, unless its network has its share:
// then it returns nil. When all places are taken the oldest visitor has to go:
// whoever holds a handshake open keeps nobody out.
func (v *visitors) enter(address netip.Addr) *visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	network := throttle.Network(address)
	if v.perNetwork > 0 && v.counts[network] >= v.perNetwork {
		return nil
	}
	entered := &visit{visitors: v, network: network}
	entered.take(&v.arriving)
	v.counts[network]++
	return entered
}

// begin sets what ends the visit from now on.
func (v *visit) begin(end func()) {
	v.visitors.mu.Lock()
	defer v.visitors.mu.Unlock()
	v.end = end
	if v.place == nil { // it had to go meanwhile
		end()
	}
}

// settle is for a handshake that is over, of a client that goes on counting.
func (v *visit) settle() {
	v.visitors.mu.Lock()
	defer v.visitors.mu.Unlock()
	if v.place == nil {
		return
	}
	v.in.Remove(v.place)
	v.take(&v.visitors.settled)
}

// hasSettled reports whether the visit goes on after its handshake.
func (v *visit) hasSettled() bool {
	v.visitors.mu.Lock()
	defer v.visitors.mu.Unlock()
	return v.in == &v.visitors.settled
}

// take has the visit take a place in a list. The caller holds mu.
func (v *visit) take(in *list.List) {
	if in.Len() >= v.visitors.most {
		oldest := in.Front().Value.(*visit)
		oldest.goAway()
		if oldest.end != nil {
			oldest.end()
		}
	}
	v.in, v.place = in, in.PushBack(v)
}

// leave undoes enter. It may be called again.
func (v *visit) leave() {
	v.visitors.mu.Lock()
	defer v.visitors.mu.Unlock()
	v.goAway()
}

// goAway frees the place. The caller holds mu.
func (v *visit) goAway() {
	if v.place == nil {
		return
	}
	v.in.Remove(v.place)
	v.place = nil
	if v.visitors.counts[v.network]--; v.visitors.counts[v.network] == 0 {
		delete(v.visitors.counts, v.network)
	}
}
