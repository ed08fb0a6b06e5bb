package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// realmListing is which deletable realms are listed, and how: the options of the
// official list_deletable_realms.
type realmListing struct {
	database     *settingsFlags
	organization func() (parsec.OrganizationID, error)
	json         bool
}

func (l *realmListing) define(flags *pflag.FlagSet) {
	flags.SortFlags = false
	l.organization = organizationOption(flags)
	flags.BoolVar(&l.json, "json", false, "Print a JSON list.")
	l.database = databaseOptions(flags)
}

func (p program) realmListCommand() *cobra.Command {
	listing := &realmListing{}
	command := &cobra.Command{
		Use: "list-deletable", Aliases: []string{"list_deletable"}, Args: noArguments,
		Short: "List the realms of an organization that may be deleted: those whose planned deletion is due, and orphaned ones.",
	}
	listing.define(command.Flags())
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.listDeletableRealms(command.Context(), listing)
	}
	return command
}

// listDeletableRealms runs list-deletable.
func (p program) listDeletableRealms(ctx context.Context, listing *realmListing) error {
	id, err := listing.organization()
	if err != nil {
		return err
	}
	var realms []organization.DeletableRealm
	err = p.withRegistry(ctx, listing.database, nil, func(r *registry) error {
		generation, err := r.generation(ctx, id)
		if err == nil {
			realms, err = r.deleting[generation].DeletableRealms(ctx, id)
		}
		return err
	})
	if err != nil {
		return err
	}
	if listing.json {
		list := make([]deletableRealm, len(realms))
		for i, realm := range realms {
			list[i] = newDeletableRealm(realm)
		}
		text, err := json.Marshal(list)
		fmt.Fprintln(p.stdout, string(text))
		return err
	}
	fmt.Fprintf(p.stdout, "Found %d deletable realm(s)\n", len(realms))
	for _, realm := range realms {
		fmt.Fprintf(p.stdout, "\nRealm %s\n\t%s\n", hexOf(realm.ID), whyDeletable(realm))
	}
	return nil
}

func hexOf(realm parsec.RealmID) string { return parsec.UUID(realm).Hex() }

// whyDeletable says it to people.
func whyDeletable(realm organization.DeletableRealm) string {
	if realm.Kind == organization.Orphaned {
		return "orphaned since " + realm.On.String()
	}
	return "deletion planned on " + realm.On.String()
}

// deletableRealm is a realm in JSON (docs/protocol/v5/administration.md §4).
type deletableRealm struct {
	RealmID       string                    `json:"realm_id"`
	Kind          organization.DeletionKind `json:"kind"`
	DeletionDate  string                    `json:"deletion_date,omitempty"`
	OrphanedSince string                    `json:"orphaned_since,omitempty"`
}

func newDeletableRealm(realm organization.DeletableRealm) deletableRealm {
	item := deletableRealm{RealmID: hexOf(realm.ID), Kind: realm.Kind}
	if realm.Kind == organization.Orphaned {
		item.OrphanedSince = realm.On.String()
	} else {
		item.DeletionDate = realm.On.String()
	}
	return item
}
