package telemetry

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// Output is where a log goes. Its methods are safe for concurrent use.
type Output struct {
	path string // empty for a stream that is not ours

	mu     sync.Mutex
	writer io.Writer
}

// openOutput appends to the file of the options, or writes to stderr.
func openOutput(options LogOptions, stderr io.Writer) (*Output, error) {
	if options.File == "" || options.File == standardError {
		return &Output{writer: stderr}, nil
	}
	file, err := openLogFile(options.File)
	if err != nil {
		return nil, err
	}
	return &Output{path: options.File, writer: file}, nil
}

func openLogFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log file: %w", err)
	}
	return file, nil
}

// IsFile tells whether Reopen has an effect.
func (o *Output) IsFile() bool { return o.path != "" }

// Reopen opens the file again, once another program has moved it away. If that
// fails, the log goes on where it went.
func (o *Output) Reopen() error {
	if !o.IsFile() {
		return nil
	}
	file, err := openLogFile(o.path)
	if err != nil {
		return err
	}
	o.mu.Lock()
	before := o.writer
	o.writer = file
	o.mu.Unlock()
	return before.(*os.File).Close()
}

// Close ends the log. It does not close the standard error.
func (o *Output) Close() error {
	if !o.IsFile() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writer.(*os.File).Close()
}

// Write writes one line.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writer.Write(line)
}
