package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

const (
	// drainPart of the time of a body, 5 s, and drainBytes bound what is still
	// read of a request that is answered before its end: a client that sends it
	// at once reads the answer, which a connection cut meanwhile would take from
	// it.
	drainPart  = 12
	drainBytes = 18 << 20 // the longest body of any route, and more
)

// timedBody is the body of a request, which must come within the time limit.
// It ends the limit with its end: the command may take longer.
type timedBody struct {
	io.ReadCloser
	controller *http.ResponseController
	limit      time.Duration
	// ended reports whether there is nothing more to read, late that it did not
	// come in time.
	ended, late bool
}

// limitBody starts the time limit of a body.
func limitBody(w http.ResponseWriter, body io.ReadCloser, limit time.Duration) *timedBody {
	b := &timedBody{ReadCloser: body, controller: http.NewResponseController(w), limit: limit}
	b.allow(limit)
	return b
}

// allow sets what is left of the time.
func (b *timedBody) allow(left time.Duration) {
	// Not every writer has deadlines; the bounds of sizes remain.
	_ = b.controller.SetReadDeadline(time.Now().Add(left))
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && !b.ended {
		b.ended = true
		_ = b.controller.SetReadDeadline(time.Time{})
	}
	b.late = b.late || errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}

// drain is called before the answer is written. The library would read what is
// left of the body then, without a limit of its own: what has not come soon is
// not waited for, and the library closes the connection after the answer. There
// is nothing to do for a nil body.
func (b *timedBody) drain() {
	if b == nil || b.ended || b.late {
		return
	}
	b.allow(b.limit / drainPart)
	if _, err := io.CopyN(io.Discard, b, drainBytes); !errors.Is(err, io.EOF) {
		b.late = true
		b.allow(-time.Second)
	}
}

// StatusError is an answer other than 200; its body is empty.
type StatusError int

func (e StatusError) Error() string { return "HTTP " + strconv.Itoa(int(e)) }

// ReadBody reads the body of a request, of at most most bytes, as far as held
// lets it grow. It goes back with PutBuffer.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64, held *Share) (*[]byte, error) {
	if r.ContentLength > most {
		return nil, StatusError(http.StatusRequestEntityTooLarge)
	}
	body, err := ReadMessage(http.MaxBytesReader(w, r.Body, most), held.Grow)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, StatusError(http.StatusRequestEntityTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, StatusError(http.StatusRequestTimeout)
	case errors.Is(err, ErrNoRoom):
		return nil, err
	case err != nil: // the client sent less than it said, or is gone
		return nil, StatusError(http.StatusBadRequest)
	default:
		return body, nil
	}
}
