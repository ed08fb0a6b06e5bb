package datafolder

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is who runs PostgreSQL: nil for the user of this process.
type account struct {
	name       string
	user, main uint32
}

// accountOf finds a user where this process is root's, which PostgreSQL refuses to be.
func accountOf(name string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user %s to run it: install PostgreSQL, or name another by --data-user", name)
	}
	id, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	group, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, fmt.Errorf("PostgreSQL does not run as root: name another user by --data-user")
	}
	return &account{name, uint32(id), uint32(group)}, nil
}

// attributes have a program run as the account, apart from the keys of a terminal.
func (a *account) attributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attributes.Credential = &syscall.Credential{Uid: a.user, Gid: a.main}
	}
	return attributes
}

// give makes a folder the account's, which nobody else can enter.
func (a *account) give(path string) error {
	if err := os.MkdirAll(path, privateMode); err != nil {
		return err
	}
	if err := os.Chmod(path, privateMode); err != nil {
		return err
	}
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.user), int(a.main))
}
