package parsec3_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

const (
	fileSize = 40 << 20
	// troubleAfter is how many blocks of a file are sent when the trouble begins.
	troubleAfter = 20
	// notePause is between two notes: the other device hears of each.
	notePause = 50 * time.Millisecond
)

// senders send files to a workspace meanwhile something breaks.
type senders struct {
	*world
	server       *testkit.Parsec
	alice, phone *peer
	realm        parsec.RealmID
	// underWay is closed once a part of a file is sent.
	underWay chan struct{}
	begun    sync.Once
}

func newSenders(t *testing.T, server *testkit.Parsec) *senders {
	s := &senders{world: newWorld(t, server), server: server, underWay: make(chan struct{})}
	s.alice = s.login("alice", s.found("alice"))
	phone, err := s.alice.AddDevice(s.ctx, must(parsec3.ParseDeviceLabel("phone")))
	s.do("add the phone", err)
	s.phone = s.login("phone", phone)
	s.realm, err = s.alice.NewWorkspace(s.ctx, "work")
	s.do("create the workspace", err)
	return s
}

// outlast has both devices send a new file, and one of them a row of small ones, while
// the trouble lasts. Nothing stops, and the other device reads the same.
func (s *senders) outlast(trouble func()) {
	s.t.Helper()
	files := map[*peer]parsec.VlobID{s.alice: parsec.VlobID(parsec.NewUUID()), s.phone: parsec.VlobID(parsec.NewUUID())}
	over, sent := make(chan struct{}), make(chan error, len(files)+1)
	for p, file := range files {
		go func() { sent <- s.sendFile(p, file) }()
	}
	go func() { sent <- s.sendNotes(s.phone, over) }()
	select {
	case <-s.underWay:
		trouble()
	case <-s.ctx.Done():
		s.t.Error("nothing is sent")
	}
	close(over)
	for range cap(sent) {
		if err := <-sent; err != nil {
			s.t.Error(err)
		}
	}
	for _, p := range []*peer{s.alice, s.phone} {
		if err := p.Err(); err != nil {
			s.t.Errorf("%s: %v", p.name, err)
		}
	}
	if s.t.Failed() {
		s.t.Fatal(s.server.Output())
	}
	s.wantFile(s.phone, files[s.alice])
	s.wantFile(s.alice, files[s.phone])
}

// sendFile sends what official clients send of a new file: its blocks, and then the
// vlob that names them.
func (s *senders) sendFile(p *peer, file parsec.VlobID) error {
	data, names := content(file.String(), fileSize), []byte(nil)
	for sent := 0; sent*blockSize < fileSize; sent++ {
		if sent == troubleAfter {
			s.begun.Do(func() { close(s.underWay) })
		}
		block := parsec.BlockID(parsec.NewUUID())
		if err := p.UploadBlock(s.ctx, s.realm, file, block, data[sent*blockSize:(sent+1)*blockSize]); err != nil {
			return fmt.Errorf("%s, block %d: %w", p.name, sent, err)
		}
		names = append(names, block[:]...)
	}
	if err := p.Upload(s.ctx, s.realm, file, names); err != nil {
		return fmt.Errorf("%s, the file: %w", p.name, err)
	}
	return nil
}

// sendNotes sends small new files one after the other, and a last one when the trouble
// is over.
func (s *senders) sendNotes(p *peer, over <-chan struct{}) error {
	select {
	case <-s.underWay:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	ticker := time.NewTicker(notePause)
	defer ticker.Stop()
	for last := false; !last; {
		select {
		case <-over:
			last = true
		case <-ticker.C:
		}
		if err := p.Upload(s.ctx, s.realm, parsec.VlobID(parsec.NewUUID()), []byte("note")); err != nil {
			return fmt.Errorf("%s, a note: %w", p.name, err)
		}
	}
	return nil
}

func (s *senders) wantFile(reader *peer, file parsec.VlobID) {
	s.t.Helper()
	versions, err := reader.Read(s.ctx, s.realm, nil, file)
	s.do("read the file", err)
	var data []byte
	for names := versions[file].Content; len(names) > 0; names = names[len(parsec.BlockID{}):] {
		block, err := reader.ReadBlock(s.ctx, s.realm, parsec.BlockID(names[:len(parsec.BlockID{})]))
		s.do("read a block", err)
		data = append(data, block...)
	}
	if !bytes.Equal(data, content(file.String(), fileSize)) {
		s.t.Errorf("%s reads %d other bytes", reader.name, len(data))
	}
}

// await waits until /readyz has a status, and a text in its answer.
func (s *senders) await(status int, text string) {
	s.t.Helper()
	testkit.Await(s.t, fmt.Sprintf("/readyz answers %d %q", status, text), func() bool {
		request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.addresses[0].HTTPOrigin()+"/readyz", nil)
		s.do("ask", err)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		var body bytes.Buffer
		_, err = body.ReadFrom(answer.Body)
		return err == nil && answer.StatusCode == status && strings.Contains(body.String(), text)
	})
}

// lastsFor keeps a trouble for a while in long tests.
func (s *senders) lastsFor(long time.Duration) {
	if !testkit.Long() {
		return
	}
	select {
	case <-time.After(long):
	case <-s.ctx.Done():
		s.t.Error(errors.New("the trouble lasts too long"))
	}
}
