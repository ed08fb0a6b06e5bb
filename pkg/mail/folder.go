package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// folder takes e-mails instead of an SMTP server: a folder of temporary files,
// one for the process, which stays when the process ends.
type folder struct {
	mu   sync.Mutex
	path string // "" until the first e-mail
}

// deliver writes the HTML part, for a browser, and logs where.
func (f *folder) deliver(ctx context.Context, letter letter, logger *slog.Logger) error {
	path, err := f.write(letter.HTML)
	if err != nil {
		return fmt.Errorf("write the e-mail: %w", err)
	}
	logger.InfoContext(ctx, "e-mail written in a file: the e-mail host is MOCKED",
		slog.Any("to", letter.message.GetToString()), slog.String("path", path))
	return nil
}

func (f *folder) write(html string) (path string, err error) {
	folder, err := f.make()
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(folder, "tmp-email-*.html")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(html)
	return file.Name(), errors.Join(err, file.Close())
}

func (f *folder) make() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := os.Stat(f.path); f.path != "" && err == nil { // what cleans temporary folders may have removed it
		return f.path, nil
	}
	path, err := os.MkdirTemp("", "parsec-emails-*")
	if err != nil {
		return "", err
	}
	f.path = path
	return path, nil
}
