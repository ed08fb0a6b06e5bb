package blockstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
)

// path returns where the file of a block is, below the folder of a store.
func (k key) path() string {
	folders := k.folders()
	return path.Join(folders[len(folders)-1], k.block.String())
}

// folders returns those that lead to the file of a block.
func (k key) folders() []string {
	organization := folderOfOrganization(k.organization)
	digits := hex.EncodeToString(k.block[:1])
	return []string{organization, organization + "/" + digits[:1], organization + "/" + digits[:1] + "/" + digits[1:]}
}

// folderOfOrganization returns a name that is that of no other organization, even
// where the file system does not tell upper case from lower, or writes é in its own way: what is not
// one of a-z, 0-9, - and _ is written %XX.
func folderOfOrganization(id parsec.OrganizationID) string {
	var name strings.Builder
	for _, letter := range []byte(id.String()) {
		if isPlain(letter) {
			name.WriteByte(letter)
		} else {
			fmt.Fprintf(&name, "%%%02x", letter)
		}
	}
	return name.String()
}

func isPlain(letter byte) bool {
	return 'a' <= letter && letter <= 'z' || '0' <= letter && letter <= '9' || letter == '-' || letter == '_'
}

// organizationOfFolder reads what folderOfOrganization returns.
func organizationOfFolder(name string) (id parsec.OrganizationID, isOne bool) {
	var text []byte
	for rest := name; rest != ""; {
		if rest[0] != '%' {
			text, rest = append(text, rest[0]), rest[1:]
			continue
		}
		if len(rest) < 3 {
			return id, false
		}
		letter, err := hex.DecodeString(rest[1:3])
		if err != nil {
			return id, false
		}
		text, rest = append(text, letter...), rest[3:]
	}
	id, err := parsec.ParseOrganizationID(string(text))
	return id, err == nil && folderOfOrganization(id) == name
}

// namesIn lists a folder, in order; one that is not there has none.
func namesIn(root *os.Root, name string) ([]string, error) {
	folder, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) || err != nil && isNoFolder(root, name) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func isNoFolder(root *os.Root, name string) bool {
	info, err := root.Lstat(name)
	return err == nil && !info.IsDir()
}

// List implements Inventory. Between organizations the order is that of their
// folders.
func (f *Folder) List(ctx context.Context, prefix, after string) ([]Object, error) {
	from, isBlock := parseObjectName(after)
	if after != "" && !isBlock {
		return nil, fmt.Errorf("%s: %q is not the name of a block", f, after)
	}
	root, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	organizations := []string{}
	if prefix == "" {
		if organizations, err = namesIn(root, "."); err != nil {
			return nil, f.failure(err)
		}
	} else if id, err := parsec.ParseOrganizationID(strings.TrimSuffix(prefix, "/")); err == nil {
		organizations = append(organizations, folderOfOrganization(id))
	}
	l := listing{root: root}
	first := ""
	if after != "" {
		first = folderOfOrganization(from.organization)
	}
	for _, name := range organizations {
		id, isOne := organizationOfFolder(name)
		if !isOne || name < first {
			continue
		}
		l.organization, l.after = id, ""
		if name == first {
			l.after = from.block.String()
		}
		if err := l.add(ctx); err != nil {
			return nil, f.failure(err)
		}
	}
	return l.objects, nil
}

// listing collects the objects of organizations, in order.
type listing struct {
	root    *os.Root
	objects []Object
	// organization is the one that is being listed, after the id of a block.
	organization parsec.OrganizationID
	after        string
}

// add lists the organization, unless there are enough objects.
func (l *listing) add(ctx context.Context) error {
	const digits = "0123456789abcdef"
	folder := folderOfOrganization(l.organization)
	uppers, err := namesIn(l.root, folder)
	if err != nil {
		return err
	}
	for _, upper := range uppers {
		if len(upper) != 1 || !strings.Contains(digits, upper) || upper < l.after[:min(len(l.after), 1)] {
			continue
		}
		lowers, err := namesIn(l.root, folder+"/"+upper)
		if err != nil {
			return err
		}
		for _, lower := range lowers {
			if len(lower) != 1 || upper+lower < l.after[:min(len(l.after), 2)] {
				continue
			}
			if len(l.objects) == listedAtOnce {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.addLeaf(folder + "/" + upper + "/" + lower); err != nil {
				return err
			}
		}
	}
	return nil
}

// addLeaf lists the blocks of one folder.
func (l *listing) addLeaf(folder string) error {
	names, err := namesIn(l.root, folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name <= l.after || len(l.objects) == listedAtOnce {
			continue
		}
		uuid, err := parsec.ParseUUID(name)
		k := key{l.organization, parsec.BlockID(uuid)}
		if err != nil || k.path() != folder+"/"+name {
			continue // It is not what a server has put there.
		}
		info, err := l.root.Lstat(k.path())
		if errors.Is(err, fs.ErrNotExist) {
			continue // It is gone.
		}
		if err != nil {
			return err
		}
		l.objects = append(l.objects, Object{k.objectName(), info.Size(), info.ModTime()})
	}
	return nil
}

// Delete implements Inventory. The folders of an organization go with its last block.
func (f *Folder) Delete(ctx context.Context, name string) error {
	root, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	k, isBlock := parseObjectName(name)
	if !isBlock || name != k.objectName() {
		return nil // There is nothing else.
	}
	err = root.Remove(k.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return f.failure(err)
	}
	folders := k.folders()
	slices.Reverse(folders)
	for _, folder := range folders {
		if root.Remove(folder) != nil { // It is not empty.
			return f.failure(syncFolder(root, folder))
		}
	}
	return f.failure(syncFolder(root, "."))
}
