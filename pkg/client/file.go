package client

import (
	"errors"
	"os"
)

// SaveSecrets writes content to a new file that only its owner may read. It never
// overwrites a file: lost keys cannot be made again.
func SaveSecrets(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
