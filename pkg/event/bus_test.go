package event_test

import (
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

var (
	acme  = organizationID("Acme")
	other = organizationID("Other")
)

func organizationID(text string) parsec.OrganizationID {
	id, err := parsec.ParseOrganizationID(text)
	if err != nil {
		panic(err)
	}
	return id
}

// pinging is a body for everybody in the organization.
type pinging string

func (pinging) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{event.OrganizationTopic(o)}
}

// change is a body about some things of the organization.
type change struct {
	number int
	things []string
}

func (c change) Topics(o parsec.OrganizationID) (topics []event.Topic) {
	for _, name := range c.things {
		topics = append(topics, thing(o, name))
	}
	return topics
}

func thing(organization parsec.OrganizationID, name string) event.Topic {
	return event.Topic{Organization: organization, Kind: "thing", Name: name}
}

// inbox keeps what a subscription receives.
type inbox struct {
	mu     sync.Mutex
	events []event.Event
}

func (i *inbox) receive(e event.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.events = append(i.events, e)
}

func (i *inbox) take() []event.Event {
	i.mu.Lock()
	defer i.mu.Unlock()
	taken := i.events
	i.events = nil
	return taken
}

func pinged(organization parsec.OrganizationID, text string) event.Event {
	return event.Event{Organization: organization, Body: pinging(text)}
}

// flush returns once what was published before is delivered.
func flush(bus *event.Bus) {
	nobody := organizationID("flush")
	delivered := make(chan struct{})
	barrier := bus.Subscribe(func(event.Event) { close(delivered) }, event.OrganizationTopic(nobody))
	defer barrier.Close()
	bus.Publish([]event.Event{pinged(nobody, "")})
	<-delivered
}

func TestOrderIsThatOfPublish(t *testing.T) {
	bus := event.NewBus()
	defer bus.Close()
	var first, second inbox
	bus.Subscribe(first.receive, event.OrganizationTopic(acme), event.OrganizationTopic(other))
	bus.Subscribe(second.receive, event.OrganizationTopic(acme))
	var all, some []event.Event
	for i := range 3000 {
		batch := []event.Event{pinged(acme, strconv.Itoa(2*i)), pinged(other, strconv.Itoa(2*i+1))}
		bus.Publish(batch)
		all, some = append(all, batch...), append(some, batch[0])
	}
	flush(bus)
	if !reflect.DeepEqual(first.take(), all) || !reflect.DeepEqual(second.take(), some) {
		t.Error("events are lost, doubled or out of order")
	}
}

func TestOncePerEvent(t *testing.T) {
	bus := event.NewBus()
	defer bus.Close()
	var got inbox
	subscription := bus.Subscribe(got.receive, thing(acme, "alice"), thing(acme, "bob"), thing(acme, "invitation"))
	subscription.Add(thing(acme, "alice")) // again
	bus.Publish([]event.Event{{Organization: acme, Body: change{things: []string{"invitation", "alice", "bob"}}}})
	flush(bus)
	if events := got.take(); len(events) != 1 {
		t.Errorf("received %d times", len(events))
	}
}

func TestTopicsMayChangeInReceive(t *testing.T) {
	bus := event.NewBus()
	defer bus.Close()
	var got inbox
	var subscription *event.Subscription
	ready := make(chan struct{})
	subscription = bus.Subscribe(func(e event.Event) {
		<-ready
		got.receive(e)
		switch e.Body.(pinging) {
		case "add":
			subscription.Add(event.OrganizationTopic(other))
		case "remove":
			subscription.Remove(event.OrganizationTopic(other))
		case "close":
			subscription.Close()
		}
	}, event.OrganizationTopic(acme))
	close(ready)
	published := []event.Event{
		pinged(other, "too early"), pinged(acme, "add"), pinged(other, "heard"), pinged(acme, "remove"), pinged(other, "too late"),
		pinged(acme, "close"), pinged(acme, "over"),
	}
	bus.Publish(published)
	flush(bus)
	want := []event.Event{published[1], published[2], published[3], published[5]}
	if events := got.take(); !reflect.DeepEqual(events, want) {
		t.Errorf("received %v, want %v", events, want)
	}
}

// One call may still run when a subscription is closed; no other begins.
func TestCloseWhileDelivering(t *testing.T) {
	bus := event.NewBus()
	defer bus.Close()
	entered, proceed := make(chan struct{}), make(chan struct{})
	calls := 0
	subscription := bus.Subscribe(func(event.Event) {
		calls++
		close(entered)
		<-proceed
	}, event.OrganizationTopic(acme))
	bus.Publish([]event.Event{pinged(acme, "1"), pinged(acme, "2")})
	<-entered
	subscription.Close()
	subscription.Close()
	subscription.Add(event.OrganizationTopic(acme)) // of no effect
	close(proceed)
	flush(bus)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestCloseDeliversWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.NewBus()
		proceed := make(chan struct{})
		var got inbox
		bus.Subscribe(func(e event.Event) {
			<-proceed
			got.receive(e)
		}, event.OrganizationTopic(acme))
		for i := range 10 {
			bus.Publish([]event.Event{pinged(acme, strconv.Itoa(i))})
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			bus.Close()
		}()
		synctest.Wait()
		bus.Publish([]event.Event{pinged(acme, "dropped")})
		close(proceed)
		<-closed
		bus.Close()
		if events := got.take(); len(events) != 10 {
			t.Errorf("%d events", len(events))
		}
	})
}

// Publishers wait for receivers rather than fill the memory.
func TestPublishIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.NewBus()
		defer bus.Close()
		proceed := make(chan struct{})
		bus.Subscribe(func(event.Event) { <-proceed }, event.OrganizationTopic(acme))
		const many = 100_000
		published := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ; published < many; published++ {
				bus.Publish([]event.Event{pinged(acme, "")})
			}
		}()
		synctest.Wait()
		if published == 0 || published > many/10 {
			t.Errorf("%d batches are published and nothing is delivered", published)
		}
		close(proceed)
		<-done
	})
}

// TestSubscriptionsModel compares the bus with a set of topics for each
// subscription, whatever is subscribed, added, removed and closed in between.
func TestSubscriptionsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bus := event.NewBus()
		defer bus.Close()
		model := &model{bus: bus}
		model.Subscribe(t)
		t.Repeat(rapid.StateMachineActions(model))
	})
}

type model struct {
	bus           *event.Bus
	subscriptions []*modelled
	published     int
}

type modelled struct {
	inbox
	subscription *event.Subscription
	topics       map[int]bool
	closed       bool
}

// modelThings is how many topics the model has.
const modelThings = 4

func modelThing(i int) string { return strconv.Itoa(i) }

func (m *model) Subscribe(t *rapid.T) {
	s := &modelled{topics: map[int]bool{}}
	var topics []event.Topic
	for _, i := range rapid.SliceOfN(rapid.IntRange(0, modelThings-1), 0, modelThings).Draw(t, "topics") {
		s.topics[i] = true
		topics = append(topics, thing(acme, modelThing(i)))
	}
	s.subscription = m.bus.Subscribe(s.receive, topics...)
	m.subscriptions = append(m.subscriptions, s)
}

func (m *model) Add(t *rapid.T) {
	s, i := m.draw(t)
	s.subscription.Add(thing(acme, modelThing(i)))
	s.topics[i] = !s.closed
}

func (m *model) Remove(t *rapid.T) {
	s, i := m.draw(t)
	s.subscription.Remove(thing(acme, modelThing(i)))
	s.topics[i] = false
}

func (m *model) Close(t *rapid.T) {
	s, _ := m.draw(t)
	s.subscription.Close()
	s.closed, s.topics = true, map[int]bool{}
}

func (m *model) draw(t *rapid.T) (*modelled, int) {
	return rapid.SampledFrom(m.subscriptions).Draw(t, "subscription"), rapid.IntRange(0, modelThings-1).Draw(t, "topic")
}

// Check publishes one event to each topic.
func (m *model) Check(t *rapid.T) {
	batch := make([]event.Event, modelThings)
	for i := range batch {
		m.published++
		batch[i] = event.Event{Organization: acme, Body: change{number: m.published, things: []string{modelThing(i)}}}
	}
	m.bus.Publish(batch)
	flush(m.bus)
	for number, s := range m.subscriptions {
		var want []event.Event
		for i, e := range batch {
			if s.topics[i] {
				want = append(want, e)
			}
		}
		if got := s.take(); !slices.EqualFunc(got, want, func(a, b event.Event) bool { return reflect.DeepEqual(a, b) }) {
			t.Fatalf("subscription %d received %v, want %v", number, got, want)
		}
	}
}

// Subscriptions come and go while events are published, from many goroutines.
func TestConcurrentSubscriptions(t *testing.T) {
	bus := event.NewBus()
	defer bus.Close()
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for i := range 300 {
				var got inbox
				s := bus.Subscribe(got.receive, thing(acme, modelThing(i%modelThings)), event.OrganizationTopic(acme))
				s.Add(thing(acme, "alice"))
				s.Remove(event.OrganizationTopic(acme))
				bus.Publish([]event.Event{{Organization: acme, Body: change{number: i, things: []string{"alice"}}}})
				s.Close()
			}
		})
	}
	work.Wait()
	flush(bus)
}

// TestForeignSubscriptionsAreNotCalled counts who is called for an event.
func TestForeignSubscriptionsAreNotCalled(t *testing.T) {
	bus := event.NewBus()
	defer bus.Close()
	foreign, concerned := 0, 0
	for i := range 10_000 {
		bus.Subscribe(func(event.Event) { foreign++ },
			[]event.Topic{event.OrganizationTopic(other), thing(acme, strconv.Itoa(i))}[i%2], thing(other, "b"))
	}
	bus.Subscribe(func(event.Event) { concerned++ }, thing(acme, "a"), thing(acme, "b"))
	bus.Publish([]event.Event{{Organization: acme, Body: change{1, []string{"a", "b"}}}, {Organization: acme, Body: change{2, []string{"b"}}}})
	flush(bus)
	if foreign != 0 || concerned != 2 {
		t.Errorf("%d calls of foreign subscriptions, %d of the one concerned", foreign, concerned)
	}
}
