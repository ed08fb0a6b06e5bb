package testclient3_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

var (
	home  = realmOf("home")
	file  = parsec.VlobID(idOf("file"))
	block = parsec.BlockID(idOf("block"))
)

func ok() answer { return reply(protocol.StatusOK, nil) }

func refusal(status protocol.Status) answer { return reply(status, nil) }

func failing(status int) answer { return answer{status: status} }

func nothingNew() answer { return reply(protocol.StatusOK, new(protocol.CertificateGetReply)) }

// found is an answer to a read of file, whose last version it is, 0 for none.
func found(last uint32) answer {
	read := new(protocol.VlobReadBatchReply)
	if last > 0 {
		read.Items = []protocol.VlobItem{versionOf(last)}
	}
	return reply(protocol.StatusOK, read)
}

// versionOf is what alice would have written.
func versionOf(number uint32) protocol.VlobItem {
	alice, date := device("alice"), start.Add(time.Minute)
	blob := must(testclient3.SealVersion(alice, file, number, []byte("content"), date))
	return protocol.VlobItem{Vlob: file, Author: alice.ID, Version: number, CreatedOn: date, Blob: blob}
}

// TestUploadsOfNewEntries are the cases of docs/protocol/v5/quirks.md §11.
func TestUploadsOfNewEntries(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[string][]answer
		done    []string
		stopped bool
	}{
		"accepted":                         {map[string][]answer{"vlob_create": {ok()}}, []string{"vlob_create"}, false},
		"503, and not there":               {map[string][]answer{"vlob_create": {failing(503)}, "vlob_read_batch": {found(0)}}, []string{"vlob_create", "3s", "vlob_read_batch"}, true},
		"500, and not there":               {map[string][]answer{"vlob_create": {failing(500)}, "vlob_read_batch": {found(0)}}, []string{"vlob_create", "3s", "vlob_read_batch"}, true},
		"460, and not there":               {map[string][]answer{"vlob_create": {failing(460)}, "vlob_read_batch": {found(0)}}, []string{"vlob_create", "3s", "vlob_read_batch"}, true},
		"cut, and not there":               {map[string][]answer{"vlob_create": {{cut: true}}, "vlob_read_batch": {found(0)}}, []string{"vlob_create", "3s", "vlob_read_batch"}, true},
		"the answer is lost":               {map[string][]answer{"vlob_create": {{cut: true}}, "vlob_read_batch": {found(1)}}, []string{"vlob_create", "3s", "vlob_read_batch"}, false},
		"the look fails, and then it goes": {map[string][]answer{"vlob_create": {failing(503), ok()}, "vlob_read_batch": {failing(503)}}, []string{"vlob_create", "3s", "vlob_read_batch", "3s", "vlob_create"}, false},
		"the look fails, and then nothing": {
			map[string][]answer{"vlob_create": {failing(503), failing(503)}, "vlob_read_batch": {failing(503), found(0)}},
			[]string{"vlob_create", "3s", "vlob_read_batch", "3s", "vlob_create", "3s", "vlob_read_batch"}, true,
		},
		"realm_not_found": {map[string][]answer{"vlob_create": {refusal(protocol.StatusRealmNotFound)}}, []string{"vlob_create"}, true},
		"unknown status":  {map[string][]answer{"vlob_create": {refusal("invented")}}, []string{"vlob_create"}, true},
		"a webhook away": {
			map[string][]answer{"vlob_create": {reply(protocol.StatusSequesterServiceUnavailable, new(protocol.SequesterUnavailableDetails))}},
			[]string{"vlob_create"}, true,
		},
	} {
		s := newScript(t, c.answers)
		alice := s.alice()
		err := alice.Upload(s.ctx, home, file, []byte("content"))
		if errors.Is(err, testclient3.ErrStopped) != c.stopped || (err == nil) == c.stopped {
			t.Errorf("%s: %v", name, err)
		}
		if (alice.Err() != nil) != c.stopped {
			t.Errorf("%s: stopped by %v", name, alice.Err())
		}
		s.want(c.done...)
	}
}

func TestUploadsOfBlocks(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[string][]answer
		done    []string
		stopped bool
	}{
		"accepted":          {map[string][]answer{"block_create": {ok()}}, []string{"block_create"}, false},
		"there already":     {map[string][]answer{"block_create": {refusal(protocol.StatusBlockAlreadyExists)}}, []string{"block_create"}, false},
		"store_unavailable": {map[string][]answer{"block_create": {refusal(protocol.StatusStoreUnavailable), refusal(protocol.StatusStoreUnavailable), ok()}}, []string{"block_create", "1m0s", "block_create", "1m0s", "block_create"}, false},
		"503 of a new file": {map[string][]answer{"block_create": {failing(503)}, "vlob_read_batch": {found(0)}}, []string{"block_create", "3s", "vlob_read_batch"}, true},
		"503 of a known file": {
			map[string][]answer{"block_create": {failing(503), ok()}, "vlob_read_batch": {found(4)}},
			[]string{"block_create", "3s", "vlob_read_batch", "block_create"}, false,
		},
	} {
		s := newScript(t, c.answers)
		alice := s.alice()
		err := alice.UploadBlock(s.ctx, home, file, block, []byte("data"))
		if errors.Is(err, testclient3.ErrStopped) != c.stopped || (err == nil) == c.stopped || (alice.Err() != nil) != c.stopped {
			t.Errorf("%s: %v, stopped by %v", name, err, alice.Err())
		}
		s.want(c.done...)
	}
}

func TestUploadsOfKnownEntries(t *testing.T) {
	s := newScript(t, map[string][]answer{
		"vlob_update":     {failing(503), ok(), {cut: true}, refusal(protocol.StatusBadVlobVersion)},
		"vlob_read_batch": {found(4), found(6)},
	})
	alice := s.alice()
	if err := alice.Update(s.ctx, home, file, 5, nil); err != nil {
		t.Error(err)
	}
	s.want("vlob_update", "3s", "vlob_read_batch", "vlob_update")
	if err := alice.Update(s.ctx, home, file, 6, nil); err != nil {
		t.Error(err)
	}
	s.want("vlob_update", "3s", "vlob_read_batch")
	// A conflict is merged: nothing ends.
	if refused, is := errors.AsType[*protocol.Refusal](alice.Update(s.ctx, home, file, 6, nil)); !is || refused.Status != protocol.StatusBadVlobVersion {
		t.Errorf("conflict: %v", refused)
	}
	if alice.Err() != nil {
		t.Error(alice.Err())
	}
}

// TestUploadsEnd has uploads refused that are sent no more, until the client is
// started again.
func TestUploadsEnd(t *testing.T) {
	for _, status := range []protocol.Status{protocol.StatusAuthorNotAllowed, protocol.StatusRealmArchived, protocol.StatusRealmDeleted} {
		s := newScript(t, map[string][]answer{"vlob_create": {refusal(status), ok()}})
		alice := s.alice()
		if refused, is := errors.AsType[*protocol.Refusal](alice.Upload(s.ctx, home, file, nil)); !is || refused.Status != status {
			t.Errorf("%s: %v", status, refused)
		}
		for what, err := range map[string]error{
			"a vlob":    alice.Upload(s.ctx, home, file, nil),
			"a version": alice.Update(s.ctx, home, file, 2, nil),
			"a block":   alice.UploadBlock(s.ctx, home, file, block, nil),
		} {
			if !errors.Is(err, testclient3.ErrNotSent) {
				t.Errorf("%s after %s: %v", what, status, err)
			}
		}
		s.want("vlob_create")
		if alice.Err() != nil {
			t.Errorf("%s: %v", status, alice.Err())
		}
		if err := s.alice().Upload(s.ctx, home, file, nil); err != nil {
			t.Errorf("after a new start: %v", err)
		}
	}
}

// TestLaterDates has a date asked for that is later, twice.
func TestLaterDates(t *testing.T) {
	later := func(date parsec.DateTime) answer {
		return reply(protocol.StatusRequireGreaterTimestamp, &protocol.RequireGreaterTimestampDetails{StrictlyGreaterThan: date})
	}
	s := newScript(t, map[string][]answer{"vlob_create": {later(start.Add(2 * time.Hour)), later(start.Add(3 * time.Hour)), ok()}})
	if err := s.alice().Upload(s.ctx, home, file, nil); err != nil {
		t.Error(err)
	}
	s.want("vlob_create", "vlob_create", "vlob_create")
}

// TestDoubtfulData has data served that nobody can have written so.
func TestDoubtfulData(t *testing.T) {
	for name, change := range map[string]func(*protocol.VlobReadBatchReply){
		"another version": func(r *protocol.VlobReadBatchReply) { r.Items[0].Version++ },
		"another date":    func(r *protocol.VlobReadBatchReply) { r.Items[0].CreatedOn++ },
		"another vlob":    func(r *protocol.VlobReadBatchReply) { r.Items[0].Vlob = parsec.VlobID(home) },
		"another author":  func(r *protocol.VlobReadBatchReply) { r.Items[0].Author = deviceOf("bob") },
		"another key":     func(r *protocol.VlobReadBatchReply) { r.Items[0].KeyIndex = 1 },
		"another byte":    func(r *protocol.VlobReadBatchReply) { r.Items[0].Blob[50] ^= 1 },
		"twice":           func(r *protocol.VlobReadBatchReply) { r.Items = append(r.Items, r.Items[0]) },
		"certificates that never come": func(r *protocol.VlobReadBatchReply) {
			r.NeededRealmCertificateTimestamp = start.Add(time.Hour)
		},
	} {
		read := &protocol.VlobReadBatchReply{VlobItems: protocol.VlobItems{Items: []protocol.VlobItem{versionOf(3)}}}
		change(read)
		s := newScript(t, map[string][]answer{"vlob_read_batch": {found(3), reply(protocol.StatusOK, read)}})
		alice := s.alice()
		versions, err := alice.Read(s.ctx, home, nil, file)
		if there := versions[file]; err != nil || there.Number != 3 || string(there.Content) != "content" {
			t.Fatalf("%+v, %v", versions, err)
		}
		if _, err := alice.Read(s.ctx, home, nil, file); !errors.Is(err, testclient3.ErrStopped) || alice.Err() == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// listen follows streams until the last one stays, and then leaves.
func (s *script) listen(resident *testclient3.Resident, until int) (heard []client3.Message, err error) {
	ctx, leave := context.WithCancel(s.ctx)
	defer leave()
	err = resident.Listen(ctx, func(message client3.Message) {
		if heard = append(heard, message); len(heard) == until {
			leave()
		}
	})
	return heard, err
}

func staying(given answer) answer {
	given.stay = true
	return given
}

// TestStreamsThatEndForGood has every status that stops an official client.
func TestStreamsThatEndForGood(t *testing.T) {
	for _, status := range []int{204, 301, 400, 401, 403, 404, 406, 413, 415, 422, 429, 460, 461, 462, 464, 498, 500, 501} {
		s := newScript(t, map[string][]answer{"events": {failing(status)}})
		alice := s.alice()
		_, err := s.listen(alice, 1)
		failure, answered := errors.AsType[*client.HTTPError](err)
		if !errors.Is(err, testclient3.ErrStopped) || !answered || failure.Status != status {
			t.Errorf("%d: %v", status, err)
		}
		select {
		case <-alice.Stopped():
		default:
			t.Errorf("%d: not stopped", status)
		}
		s.want("events")
	}
	for name, given := range map[string]answer{
		"another type":        {body: []byte("x")},
		"no config first":     stream(new(protocol.PingedEvent)),
		"a config again":      stream(config, config),
		"no base64":           {body: []byte("data:!\n\n")},
		"an unknown event":    {body: []byte("data:gqZzdGF0dXOib2ulZXZlbnShWA==\n\n")},
		"a retry for ever":    {body: []byte("retry:7000\n\n")},
		"an event of no kind": {body: []byte("event:other\ndata:\n\n")},
	} {
		s := newScript(t, map[string][]answer{"events": {given}})
		if _, err := s.listen(s.alice(), 9); !errors.Is(err, testclient3.ErrStopped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStreamsThatComeBack has whatever an official client survives, and the waits in
// between.
func TestStreamsThatComeBack(t *testing.T) {
	var answers []answer
	done := []string{}
	waits := []string{"1s", "5s", "10s", "30s", "1m0s", "1m0s"}
	for i, status := range []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, 463, 503, 503} {
		answers = append(answers, failing(status))
		done = append(done, "events", waits[i])
	}
	cut := stream(config, new(protocol.PingedEvent))
	cut.cut = true
	silent := staying(stream(&protocol.OrganizationConfigEvent{SSEKeepaliveSeconds: new(uint64(1))}))
	answers = append(answers, stream(config, new(protocol.PingedEvent)), cut, failing(503), silent, staying(stream(config)))
	done = append(done,
		"events", "certificate_get", // the first time
		"events after 01", // at once, as the stream ended cleanly
		"0s", "events after 01", "1s", "events after 01",
		"0s", "events after 00") // no keepalive in time
	s := newScript(t, map[string][]answer{"events": answers})
	heard, err := s.listen(s.alice(), 6)
	if !errors.Is(err, context.Canceled) || len(heard) != 6 {
		t.Errorf("%v, %v", heard, err)
	}
	s.want(done...)
}

// TestEventsAreRead asks for what events tell of, unless it is known.
func TestEventsAreRead(t *testing.T) {
	n := &notary{now: start.Add(time.Minute)}
	user := n.user("alice", "bob", parsec.ProfileStandard)
	userDate := n.now
	role := n.role("alice", "home", "bob", parsec.RoleReader)
	roleDate := n.now
	s := newScript(t, map[string][]answer{"events": {staying(stream(
		config,
		&protocol.CommonCertificateEvent{Timestamp: userDate},
		&protocol.CommonCertificateEvent{Timestamp: userDate},
		&protocol.RealmCertificateEvent{RealmID: home, Timestamp: roleDate},
		&protocol.VlobEvent{RealmID: home, LastCommonCertificateTimestamp: userDate, LastRealmCertificateTimestamp: roleDate},
		&protocol.SequesterCertificateEvent{},
		nil,
	))}})
	alice := s.alice()
	s.give("certificate_get",
		nothingNew(),
		failing(500), failing(503), reply(protocol.StatusOK, common(user)), // the same again every 3 s
		reply(protocol.StatusOK, inRealm("home", role)))
	if heard, err := s.listen(alice, 7); !errors.Is(err, context.Canceled) || len(heard) != 7 || heard[6].Event != nil {
		t.Errorf("%v, %v", heard, err)
	}
	s.want("events", "certificate_get",
		"certificate_get", "3s", "certificate_get", "3s", "certificate_get",
		"certificate_get",
		"certificate_get", "certificate_get")
}

// TestEventsBeforeTheirCertificates stops at an event whose certificate is not
// served.
func TestEventsBeforeTheirCertificates(t *testing.T) {
	s := newScript(t, map[string][]answer{"events": {staying(stream(config, &protocol.CommonCertificateEvent{Timestamp: start.Add(time.Hour)}))}})
	if _, err := s.listen(s.alice(), 9); !errors.Is(err, testclient3.ErrIncoherent) || !errors.Is(err, testclient3.ErrStopped) {
		t.Error(err)
	}
}

// TestKeptOut leaves it to the stream to say why a user is kept out.
func TestKeptOut(t *testing.T) {
	for _, status := range []int{client.StatusOrganizationExpired, client.StatusUserRevoked, client.StatusUserFrozen} {
		s := newScript(t, map[string][]answer{
			"events": {stream(config, &protocol.CommonCertificateEvent{Timestamp: start.Add(time.Hour)}), failing(status)},
		})
		alice := s.alice()
		s.give("certificate_get", nothingNew(), failing(status))
		_, err := s.listen(alice, 9)
		if failure, answered := errors.AsType[*client.HTTPError](err); !answered || failure.Status != status || !errors.Is(err, testclient3.ErrStopped) {
			t.Errorf("%d: %v", status, err)
		}
		s.want("events", "certificate_get", "certificate_get", "events after 01")
	}
}

// TestChangeToOutsider has everything asked again, once for each change.
func TestChangeToOutsider(t *testing.T) {
	n := &notary{now: start}
	all := join(n.user("", "alice", parsec.ProfileAdmin), n.user("alice", "bob", parsec.ProfileStandard))
	answers := []answer{reply(protocol.StatusOK, common(all))}
	for _, profile := range []parsec.UserProfile{parsec.ProfileOutsider, parsec.ProfileAdmin, parsec.ProfileStandard} {
		update := n.update("alice", "bob", profile)
		all = append(all, update...)
		answers = append(answers, reply(protocol.StatusOK, common(update)))
		if profile != parsec.ProfileStandard { // ADMIN to STANDARD changes nothing for readers
			answers = append(answers, reply(protocol.StatusOK, common(all)))
		}
	}
	s := newScript(t, map[string][]answer{"certificate_get": answers})
	bob := s.resident("bob")
	for i, asked := range []int{1, 2, 2, 1} {
		if err := bob.Poll(s.ctx); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		if len(s.done) != asked {
			t.Errorf("poll "+strconv.Itoa(i)+": %q", s.done)
		}
		s.done = nil
		s.mu.Unlock()
	}
	if profile := bob.Knowledge().User(userOf("bob")).Profile(); profile != parsec.ProfileStandard {
		t.Errorf("bob is %s", profile)
	}
}
