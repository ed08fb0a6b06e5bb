package blockstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"parsec-server/pkg/parsec"
)

// listedAtOnce is how many objects an answer of List has at most.
const listedAtOnce = 1000

// Object is what a store keeps under a name: a block, a chunk of one, or
// something that was not put there by a server of Parsec.
type Object struct {
	Name     string
	Size     int64 // In bytes.
	Modified time.Time
}

// Inventory is a store whose objects can be listed and deleted, which no
// command of clients does.
type Inventory interface {
	Store

	// List returns the next objects, at most 1000, whose names begin with
	// prefix, which is empty or an organization and its slash, and come after a
	// name: one that was listed or that of a block; "" is before all. None
	// means that none follow. The order is the store's own between
	// organizations, that of the bytes of names within one. What is created
	// meanwhile may be left out.
	List(ctx context.Context, prefix, after string) ([]Object, error)
	// Delete removes an object for good. One that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Block returns the organization and the id of the object, if its name is of a
// block in either spelling.
func (o Object) Block() (organization parsec.OrganizationID, block parsec.BlockID, isBlock bool) {
	k, isBlock := parseObjectName(o.Name)
	return k.organization, k.block, isBlock
}

// parseObjectName reads what objectName and unhyphenatedName return.
func parseObjectName(name string) (k key, isBlock bool) {
	organization, id, found := strings.Cut(name, "/")
	if !found {
		return key{}, false
	}
	uuid, err := parsec.ParseUUID(id)
	if err != nil {
		return key{}, false
	}
	k.block = parsec.BlockID(uuid)
	if k.organization, err = parsec.ParseOrganizationID(organization); err != nil {
		return key{}, false
	}
	return k, name == k.objectName() || name == k.unhyphenatedName()
}

var errNoInventory = errors.New("the objects of this store cannot be listed")

// List implements Inventory for a store that does.
func (l *Limited) List(ctx context.Context, prefix, after string) (objects []Object, err error) {
	inventory, lists := l.store.(Inventory)
	if !lists {
		return nil, fmt.Errorf("%s: %w", l, errNoInventory)
	}
	err = l.call(ctx, func(ctx context.Context) (err error) {
		objects, err = inventory.List(ctx, prefix, after)
		return err
	})
	return objects, err
}

// Delete implements Inventory for a store that does.
func (l *Limited) Delete(ctx context.Context, name string) error {
	inventory, lists := l.store.(Inventory)
	if !lists {
		return fmt.Errorf("%s: %w", l, errNoInventory)
	}
	return l.call(ctx, func(ctx context.Context) error { return inventory.Delete(ctx, name) })
}
