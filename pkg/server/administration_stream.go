package server

import (
	"encoding/json"
	"io"
	"iter"
	"net/http"
)

// streamed has write write the answer as it comes. A failure on the way cuts the
// connection: the client sees that the answer is not whole.
func (call *administrationCall) streamed(contentType string, write func(io.Writer) error) error {
	answer := &lateWriter{ResponseWriter: call.w, contentType: contentType}
	err := write(answer)
	if err != nil && answer.begun {
		if call.r.Context().Err() == nil {
			call.server.LogFailure(call.r.Context(), call.server.logger, "answer to an administrator not delivered", err)
		}
		panic(http.ErrAbortHandler)
	}
	return err
}

// lateWriter sends the type of an answer with its first bytes.
type lateWriter struct {
	http.ResponseWriter
	contentType string
	begun       bool
}

func (w *lateWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.Header().Set("Content-Type", w.contentType)
	}
	return w.ResponseWriter.Write(p)
}

// writeList writes an object of one list, in JSON, as its items come. It writes nothing
// before the first one is known.
func writeList[Item any](w io.Writer, name string, items iter.Seq2[Item, error], form func(*Item) any) error {
	head := `{"` + name + `": [`
	before := head
	for item, err := range items {
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(form(&item))
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, before+string(encoded)); err != nil {
			return err
		}
		before = ", "
	}
	end := "]}"
	if before == head {
		end = head + end
	}
	_, err := io.WriteString(w, end)
	return err
}
