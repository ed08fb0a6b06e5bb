package rules_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// sequesterScenario is a scenario whose organization has an authority, and tells
// which services the webhooks were called for.
type sequesterScenario struct {
	*realmScenario
	called []string
	// answer is that of the webhooks, before which meanwhile runs.
	answer    map[parsec.SequesterServiceID]error
	meanwhile func()
}

func newSequesterScenario(t *testing.T) *sequesterScenario {
	s := &sequesterScenario{realmScenario: newRealmScenario(t), answer: map[parsec.SequesterServiceID]error{}}
	s.change(rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
		organization, _ := tx.Organization()
		changed := *organization
		changed.SequesterAuthorityCertificate = []byte("authority")
		tx.PutOrganization(changed)
	})
	s.webhooks.sequester = func(_ context.Context, organization parsec.OrganizationID, service rules.SequesterService, blob []byte) error {
		s.called = append(s.called, fmt.Sprintf("%s %d %s", organization, service.ID[0], blob))
		if meanwhile := s.meanwhile; meanwhile != nil {
			s.meanwhile = nil
			meanwhile()
		}
		return s.answer[service.ID]
	}
	return s
}

// put creates or replaces the service of number n.
func (s *sequesterScenario) put(n byte, webhook string, enabled bool) {
	s.t.Helper()
	s.change(rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
		service := rules.SequesterService{
			ID: serviceID(n), Label: fmt.Sprint("service ", n), Certificate: fmt.Appendf(nil, "service %d", n),
			WebhookURL: webhook, CreatedOn: s.clock.now(),
		}
		if !enabled {
			now := s.clock.now()
			service.DisabledOn = &now
		}
		tx.PutSequesterService(service)
	})
}

func serviceID(n byte) parsec.SequesterServiceID { return parsec.SequesterServiceID{n} }

func copies(services ...byte) map[parsec.SequesterServiceID][]byte {
	blobs := map[parsec.SequesterServiceID][]byte{}
	for _, n := range services {
		blobs[serviceID(n)] = fmt.Appendf(nil, "for %d", n)
	}
	return blobs
}

func (s *sequesterScenario) create(n uint16, blobs map[parsec.SequesterServiceID][]byte) error {
	request := s.vlobCreation(n)
	request.SequesterBlob = blobs
	_, err := s.VlobCreate(s.t.Context(), s.author, request)
	return err
}

// checkStored counts the versions of the realm.
func (s *sequesterScenario) checkStored(want uint64) {
	s.t.Helper()
	changes := must(s.VlobPollChanges(s.t.Context(), s.alice(), &protocol.VlobPollChangesRequest{RealmID: s.realm}))
	if changes.CurrentCheckpoint != want {
		s.t.Errorf("%d versions stored, want %d", changes.CurrentCheckpoint, want)
	}
	var events []event.Event
	for checkpoint := range want {
		events = append(events, by(s.alice(), notice.RealmVlobsUpdated{
			Realm: s.realm, Checkpoint: checkpoint + 1, Source: parsec.VlobID(testUUID(1)), SourceVersion: uint32(checkpoint + 1),
		}))
	}
	s.checkEvents(events...)
}

func (s *sequesterScenario) checkCalled(want ...string) {
	s.t.Helper()
	if !slices.Equal(s.called, want) {
		s.t.Errorf("called %q, want %q", s.called, want)
	}
}

func TestSequesterInconsistency(t *testing.T) {
	type given = map[parsec.SequesterServiceID][]byte
	for name, test := range map[string]struct {
		enabled, disabled []byte
		blobs             given
		want              protocol.Status
	}{
		"no service, nil":    {nil, nil, nil, protocol.StatusOK},
		"no service, none":   {nil, nil, given{}, protocol.StatusOK},
		"no service, one":    {nil, nil, copies(1), protocol.StatusSequesterInconsistency},
		"disabled, none":     {nil, []byte{1}, nil, protocol.StatusOK},
		"disabled, given":    {nil, []byte{1}, copies(1), protocol.StatusSequesterInconsistency},
		"two, both":          {[]byte{1, 2}, []byte{3}, copies(1, 2), protocol.StatusOK},
		"two, nil":           {[]byte{1, 2}, nil, nil, protocol.StatusSequesterInconsistency},
		"two, one":           {[]byte{1, 2}, nil, copies(2), protocol.StatusSequesterInconsistency},
		"two, one is wrong":  {[]byte{1, 2}, nil, copies(1, 3), protocol.StatusSequesterInconsistency},
		"two, one too many":  {[]byte{1, 2}, nil, copies(1, 2, 3), protocol.StatusSequesterInconsistency},
		"two, the empty one": {[]byte{1, 2}, nil, given{serviceID(1): nil, serviceID(2): {}}, protocol.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSequesterScenario(t)
			for _, n := range test.disabled {
				s.put(n, "", false)
			}
			for _, n := range test.enabled {
				s.put(n, "", true)
			}
			err := s.create(1, test.blobs)
			if got := status(nil, err); got != test.want {
				t.Fatalf("got %s, want %s", got, test.want)
			}
			if test.want == protocol.StatusOK {
				s.checkStored(1)
				return
			}
			s.checkStored(0)
			refusal, _ := errors.AsType[*protocol.Refusal](err)
			details := refusal.Details.(*protocol.SequesterInconsistencyDetails)
			var want []string
			for _, n := range test.enabled {
				want = append(want, fmt.Sprint("service ", n))
			}
			same := slices.EqualFunc(details.ServicesCertificates, want, func(got []byte, want string) bool { return string(got) == want })
			if !same || string(details.AuthorityCertificate) != "authority" {
				t.Errorf("got %q %q, want %q", details.AuthorityCertificate, details.ServicesCertificates, want)
			}
		})
	}
}

func TestWebhooks(t *testing.T) {
	rejected := &protocol.Refusal{Status: protocol.StatusRejectedBySequester, Reason: "virus"}
	down := protocol.Refuse(protocol.StatusTimeout, "down")
	failure := errors.New("abandoned")
	for name, test := range map[string]struct {
		answer map[parsec.SequesterServiceID]error
		want   error
		called []string
	}{
		"all accept":        {nil, nil, []string{"Acme 2 for 2", "Acme 3 for 3"}},
		"the first rejects": {map[parsec.SequesterServiceID]error{serviceID(2): rejected}, rejected, []string{"Acme 2 for 2"}},
		"the last is down":  {map[parsec.SequesterServiceID]error{serviceID(3): down}, down, []string{"Acme 2 for 2", "Acme 3 for 3"}},
		"abandoned":         {map[parsec.SequesterServiceID]error{serviceID(2): failure}, failure, []string{"Acme 2 for 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSequesterScenario(t)
			s.put(1, "", true)
			s.put(2, "http://localhost/2", true)
			s.put(3, "http://localhost/3", true)
			s.put(4, "http://localhost/4", false)
			s.answer = test.answer
			if err := s.create(1, copies(1, 2, 3)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			s.checkCalled(test.called...)
			if test.want == nil {
				s.checkStored(1)
			} else {
				s.checkStored(0)
			}
		})
	}
}

// TestWebhooksAreCalledLast checks that no third party gets what loses: each
// row of the tables comes before.
func TestWebhooksAreCalledLast(t *testing.T) {
	updates := func(change func(request *protocol.VlobUpdateRequest)) func(s *sequesterScenario) error {
		return func(s *sequesterScenario) error {
			request := s.vlobUpdate(1, 2)
			request.SequesterBlob = copies(1)
			change(request)
			_, err := s.VlobUpdate(s.t.Context(), s.author, request)
			return err
		}
	}
	for name, test := range map[string]struct {
		run  func(s *sequesterScenario) error
		want protocol.Status
	}{
		"no right": {func(s *sequesterScenario) error {
			s.breakWriter()
			return s.create(2, copies(1))
		}, protocol.StatusNotAllowed},
		"inconsistent": {func(s *sequesterScenario) error { return s.create(2, copies(1, 2)) }, protocol.StatusSequesterInconsistency},
		"exists":       {func(s *sequesterScenario) error { return s.create(1, copies(1)) }, protocol.StatusAlreadyExists},
		"bad version":  {updates(func(r *protocol.VlobUpdateRequest) { r.Version = 3 }), protocol.StatusBadVersion},
		"C2":           {updates(func(r *protocol.VlobUpdateRequest) { r.Timestamp -= 1_000_000 }), protocol.StatusRequireGreaterTimestamp},
		"sound":        {updates(func(*protocol.VlobUpdateRequest) {}), protocol.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSequesterScenario(t)
			s.setVlob(1)
			s.put(1, "http://localhost/", true)
			if got := status(nil, test.run(s)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if test.want == protocol.StatusOK {
				s.checkCalled("Acme 1 for 1")
			} else {
				s.checkCalled()
			}
		})
	}
}

// TestWebhookMeanwhile changes the state while a webhook is called: the checks
// are repeated, and each webhook is called once.
func TestWebhookMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(s *sequesterScenario)
		want      protocol.Status
		called    []string
	}{
		"nothing":          {func(*sequesterScenario) {}, protocol.StatusOK, []string{"Acme 1 for 1"}},
		"service created":  {func(s *sequesterScenario) { s.put(3, "", true) }, protocol.StatusSequesterInconsistency, []string{"Acme 1 for 1"}},
		"service disabled": {func(s *sequesterScenario) { s.put(2, "", false) }, protocol.StatusSequesterInconsistency, []string{"Acme 1 for 1"}},
		"service becomes a webhook": {func(s *sequesterScenario) { s.put(2, "http://localhost/2", true) }, protocol.StatusOK,
			[]string{"Acme 1 for 1", "Acme 2 for 2"}},
		"webhook replaced": {func(s *sequesterScenario) { s.put(1, "http://localhost/new", true) }, protocol.StatusOK, []string{"Acme 1 for 1"}},
		"archived":         {func(s *sequesterScenario) { s.breakArchived() }, protocol.StatusRealmArchived, []string{"Acme 1 for 1"}},
		"maintenance":      {func(s *sequesterScenario) { s.breakMaintenance() }, protocol.StatusInMaintenance, []string{"Acme 1 for 1"}},
		"role":             {func(s *sequesterScenario) { s.breakWriter() }, protocol.StatusNotAllowed, []string{"Acme 1 for 1"}},
		"created by others": {func(s *sequesterScenario) { s.setVlob(1); s.events.take() }, protocol.StatusAlreadyExists,
			[]string{"Acme 1 for 1"}},
		"author revoked": {func(s *sequesterScenario) { s.setRevoked(aliceID.User()) }, sessionOver, []string{"Acme 1 for 1"}},
		// The request is as old as when it came.
		"time passes": {func(s *sequesterScenario) { s.clock.advance(month) }, protocol.StatusOK, []string{"Acme 1 for 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSequesterScenario(t)
			s.put(1, "http://localhost/", true)
			s.put(2, "", true)
			s.meanwhile = func() { test.meanwhile(s) }
			if got := status(nil, s.create(1, copies(1, 2))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			s.checkCalled(test.called...)
			want := 0
			if test.want == protocol.StatusOK {
				want = 1
			}
			if got := len(s.events.take()); got != want {
				t.Errorf("%d events, want %d", got, want)
			}
		})
	}
}

// TestWebhookHoldsNoLock writes to the same realm while a webhook is called.
func TestWebhookHoldsNoLock(t *testing.T) {
	s := newSequesterScenario(t)
	s.put(1, "http://localhost/", true)
	s.meanwhile = func() {
		if got := status(nil, s.create(2, copies(1))); got != protocol.StatusOK {
			t.Errorf("meanwhile: got %s", got)
		}
	}
	if got := status(nil, s.create(1, copies(1))); got != protocol.StatusOK {
		t.Errorf("got %s", got)
	}
}
