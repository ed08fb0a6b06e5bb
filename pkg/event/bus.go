package event

import (
	"maps"
	"slices"
	"sync"
)

// queueLength bounds the batches published and not yet delivered; publishers
// wait beyond it.
const queueLength = 1024

// Bus delivers events to the subscriptions of this process, in the order of
// Publish, from one goroutine.
type Bus struct {
	queue chan []Event
	done  chan struct{}

	publishing sync.RWMutex // held while queueing; guards closed
	closed     bool

	mu     sync.RWMutex // guards topics and the places of every subscription
	topics map[Topic][]*Subscription
	// recorders get every event.
	recorders []func(Event)
}

// Subscription receives the events of its topics until it is closed.
type Subscription struct {
	bus     *Bus
	receive func(Event)
	places  []place
	closed  bool
}

// place is where a subscription stands in the list of a topic.
type place struct {
	topic Topic
	index int
}

// NewBus starts a bus; Close ends its goroutine.
func NewBus() *Bus {
	b := &Bus{
		queue:  make(chan []Event, queueLength),
		done:   make(chan struct{}),
		topics: map[Topic][]*Subscription{},
	}
	go b.run()
	return b
}

// Close delivers what is queued and ends the bus. Later events are dropped.
func (b *Bus) Close() {
	b.publishing.Lock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	b.publishing.Unlock()
	<-b.done
}

// Publish queues the events of one committed transaction, waiting while the
// queue is full. Calls must be in commit order. The bus keeps the slice.
func (b *Bus) Publish(events []Event) {
	if len(events) == 0 {
		return
	}
	b.publishing.RLock()
	defer b.publishing.RUnlock()
	if !b.closed {
		b.queue <- events
	}
}

// Depth returns how many transactions wait for the delivery of their events.
func (b *Bus) Depth() int { return len(b.queue) }

// Lose tells every subscription that events may have been missed.
func (b *Bus) Lose() { b.Publish([]Event{{Body: Lost{}}}) }

// Subscribe calls receive for each event of the topics published from now on,
// once per event, on the goroutine of the bus: receive must not block. One
// call may still be running when Close returns.
func (b *Bus) Subscribe(receive func(Event), topics ...Topic) *Subscription {
	s := &Subscription{bus: b, receive: receive}
	for _, topic := range topics {
		s.Add(topic)
	}
	return s
}

// Record calls record for each event published from now on, whatever its topics,
// before those who receive it, on the goroutine of the bus: record must not block.
func (b *Bus) Record(record func(Event)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recorders = append(b.recorders, record)
}

// Add starts the delivery of a topic. It may be called from receive.
func (s *Subscription) Add(topic Topic) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if s.closed || s.find(topic) >= 0 {
		return
	}
	list := s.bus.topics[topic]
	s.places = append(s.places, place{topic, len(list)})
	s.bus.topics[topic] = append(list, s)
}

// Remove stops the delivery of a topic. It may be called from receive.
func (s *Subscription) Remove(topic Topic) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if i := s.find(topic); i >= 0 {
		s.leave(s.places[i])
		s.places = slices.Delete(s.places, i, i+1)
	}
}

// Has reports whether the event is of a topic that is delivered.
func (s *Subscription) Has(e Event) bool {
	topics := e.Body.Topics(e.Organization)
	s.bus.mu.RLock()
	defer s.bus.mu.RUnlock()
	return slices.ContainsFunc(topics, func(topic Topic) bool { return s.find(topic) >= 0 })
}

// Close stops every delivery.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.closed = true
	for _, place := range s.places {
		s.leave(place)
	}
	s.places = nil
}

func (s *Subscription) find(topic Topic) int {
	return slices.IndexFunc(s.places, func(p place) bool { return p.topic == topic })
}

// leave moves the last subscription of the list into the freed place, so that
// ten thousand connections of one organization may close at once.
func (s *Subscription) leave(freed place) {
	list := s.bus.topics[freed.topic]
	last := len(list) - 1
	moved := list[last]
	if moved != s {
		list[freed.index] = moved
		moved.places[moved.find(freed.topic)].index = freed.index
	}
	list[last] = nil
	if last == 0 {
		delete(s.bus.topics, freed.topic)
		return
	}
	s.bus.topics[freed.topic] = list[:last]
}

func (b *Bus) run() {
	defer close(b.done)
	var receivers []*Subscription // reused: receive may change the lists
	for events := range b.queue {
		for _, event := range events {
			for _, record := range b.recording() {
				record(event)
			}
			receivers = b.receivers(receivers[:0], event)
			for _, s := range receivers {
				s.receive(event)
			}
			clear(receivers)
		}
	}
}

func (b *Bus) recording() []func(Event) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.recorders
}

// receivers appends the subscriptions of the event's topics, each once.
func (b *Bus) receivers(list []*Subscription, event Event) []*Subscription {
	topics := event.Body.Topics(event.Organization)
	b.mu.RLock()
	defer b.mu.RUnlock()
	if _, everybody := event.Body.(Lost); everybody {
		return append(list, b.everybody()...)
	}
	for i, topic := range topics {
		for _, s := range b.topics[topic] {
			if i == 0 || !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return list
}

// everybody returns each subscription once. The caller holds mu.
func (b *Bus) everybody() []*Subscription {
	found := map[*Subscription]struct{}{}
	for _, subscriptions := range b.topics {
		for _, s := range subscriptions {
			found[s] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(found))
}
