package rules

import (
	"encoding/base64"
	"sync"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// maxKeptEvents bounds the recent events of one organization.
	maxKeptEvents = 1000
	// maxKeptBytes bounds the recent events of all organizations, in bytes of what
	// streams are told of them. The blobs that this is made of take three quarters as
	// much: 32 MiB in all.
	maxKeptBytes = 18 << 20
	// keptBytes is what an event takes beside its blob.
	keptBytes = 512
)

// history has the recent events of each organization, in the order of their
// delivery, by which a stream resumes after the last one that its client has seen
// (docs/protocol/v5/events.md §4). The ids are the same on every instance, and so
// is the order. What an instance delivered before it started it does not know.
//
// The oldest events go first: those of an organization that has many, and those of
// all when they take too much.
type history struct {
	mu            sync.Mutex
	organizations map[parsec.OrganizationID]*recent
	// order has one entry for each event kept, and for some that are gone, in the
	// order in which they came.
	order []keptEvent
	bytes int
}

// recent are the last events of one organization.
type recent struct {
	events []*Message // those from the first on
	ids    map[notice.ID]uint64
	// first is the number of the first event.
	first uint64
}

type keptEvent struct {
	organization parsec.OrganizationID
	number       uint64
}

func newHistory() *history {
	return &history{organizations: map[parsec.OrganizationID]*recent{}}
}

// record keeps an event that clients are told of.
func (h *history) record(e event.Event) {
	switch e.Body.(type) {
	case notice.ForClients:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.add(newMessage(e))
	case event.Lost:
		h.mu.Lock()
		defer h.mu.Unlock()
		clear(h.organizations)
		h.order, h.bytes = nil, 0
	}
}

// mark is the body of an entry that is no event: a place to resume from in an
// organization of which no event is kept.
type mark struct{ id notice.ID }

// Topics implements event.Body.
func (mark) Topics(parsec.OrganizationID) []event.Topic { return nil }

// EventID implements notice.ForClients.
func (m mark) EventID() notice.ID { return m.id }

// add keeps an event. The caller holds mu.
func (h *history) add(m *Message) {
	organization := m.cause.Organization
	of := h.organizations[organization]
	if of == nil {
		of = &recent{ids: map[notice.ID]uint64{}}
		h.organizations[organization] = of
	}
	number := of.first + uint64(len(of.events))
	of.events = append(of.events, m)
	of.ids[m.ID] = number
	h.order = append(h.order, keptEvent{organization, number})
	h.bytes += sizeOf(m)
	if len(of.events) > maxKeptEvents {
		h.dropFirst(organization, of)
	}
	for h.bytes > maxKeptBytes || len(h.order) > 2*maxKeptBytes/keptBytes {
		oldest := h.order[0]
		h.order = h.order[1:]
		if of := h.organizations[oldest.organization]; of != nil && of.first == oldest.number {
			h.dropFirst(oldest.organization, of)
		}
	}
}

// dropFirst forgets the oldest event of an organization. The caller holds mu.
func (h *history) dropFirst(organization parsec.OrganizationID, of *recent) {
	h.bytes -= sizeOf(of.events[0])
	delete(of.ids, of.events[0].ID)
	of.events[0] = nil
	of.events = of.events[1:]
	of.first++
	if len(of.events) == 0 {
		delete(h.organizations, organization)
	}
}

func sizeOf(m *Message) int {
	if vlob, ok := m.Event.(*protocol.VlobEvent); ok {
		return keptBytes + base64.StdEncoding.EncodedLen(len(vlob.Blob))
	}
	return keptBytes
}

// newest returns the id of the last event of an organization, and keeps a place
// for one that has none.
func (h *history) newest(organization parsec.OrganizationID) notice.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	if of := h.organizations[organization]; of != nil {
		return of.events[len(of.events)-1].ID
	}
	m := mark{notice.NewID()}
	h.add(newMessage(event.Event{Organization: organization, Body: m}))
	return m.id
}

// after returns the events of an organization that came after the one with an id,
// false if that is not kept.
func (h *history) after(organization parsec.OrganizationID, id notice.ID) ([]*Message, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.organizations[organization]
	if of == nil {
		return nil, false
	}
	number, found := of.ids[id]
	if !found {
		return nil, false
	}
	return append([]*Message(nil), of.events[number-of.first+1:]...), true
}

// message returns the message about an event that clients are told of, which all
// streams share as long as it is kept.
func (h *history) message(e event.Event) *Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	if of := h.organizations[e.Organization]; of != nil {
		if number, found := of.ids[e.Body.(notice.ForClients).EventID()]; found {
			return of.events[number-of.first]
		}
	}
	return newMessage(e)
}
