package protocol_test

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"testing"

	"parsec-server/internal/testkit/commands"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// Every command that is defined is listed, once.
func TestCommandsListsEveryForm(t *testing.T) {
	source, err := os.ReadFile("command.go")
	if err != nil {
		t.Fatal(err)
	}
	defined := len(regexp.MustCompile(`rpc\.Define\[`).FindAll(source, -1))
	listed := map[*rpc.Form]bool{}
	for _, form := range commands.Parsec3() {
		if listed[form] {
			t.Errorf("%s is listed twice", form.Name)
		}
		listed[form] = true
	}
	if len(listed) != defined {
		t.Errorf("%d of %d forms are listed", len(listed), defined)
	}
}

// Every refusal with fields has those of its status.
func TestRefusalsHaveTheFieldsOfTheirStatus(t *testing.T) {
	const now, date parsec.DateTime = 2, 1
	reason := "no"
	for _, refusal := range []*protocol.Refusal{
		protocol.RefuseOutOfBallpark(now, date),
		protocol.RefuseRequireGreaterTimestamp(date),
		protocol.RefuseAsOfCommon(protocol.StatusUserAlreadyRevoked, date),
		protocol.RefuseAsOfRealm(protocol.StatusBadKeyIndex, date),
		protocol.RefuseAsOfRealm(protocol.StatusRealmAlreadyExists, date),
		protocol.RefuseAsOfSequester(protocol.StatusSequesterServiceMismatch, date),
		protocol.RefuseAsOfCommon(protocol.StatusRevokedRecipient, date),
		protocol.RefuseAsOfShamir(protocol.StatusShamirRecoveryAlreadyExists, date),
		protocol.RefuseAsOfShamir(protocol.StatusShamirRecoveryAlreadyDeleted, date),
		protocol.RefuseForSequester(parsec.SequesterServiceID{1}, &reason),
		protocol.RefuseWithoutSequester(parsec.SequesterServiceID{1}),
		protocol.RefuseRateLimited(date),
	} {
		if got, want := reflect.TypeOf(refusal.Details), reflect.TypeOf(details[refusal.Status]()); got != want {
			t.Errorf("%s: got %v, want %v", refusal.Status, got, want)
		}
		if refusal.Reason != "" {
			t.Errorf("%s has the reason %q", refusal.Status, refusal.Reason)
		}
	}
	got := *protocol.RefuseOutOfBallpark(now, date).Details.(*protocol.OutOfBallparkDetails)
	if want := (protocol.OutOfBallparkDetails{300, 320, now, date}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Clients before API 5.5 do not know realms that are archived or deleted.
func TestForClient(t *testing.T) {
	for minor := range uint32(8) {
		for _, status := range []protocol.Status{
			protocol.StatusRealmArchived, protocol.StatusRealmDeleted, protocol.StatusRealmNotFound, protocol.StatusBadKeyIndex,
		} {
			refusal := protocol.RefuseAsOfRealm(status, 1)
			got := protocol.ForClient(parsec.APIVersion{Major: 5, Minor: minor}, refusal)
			hidden := minor < 5 && (status == protocol.StatusRealmArchived || status == protocol.StatusRealmDeleted)
			switch {
			case !hidden && got != refusal:
				t.Errorf("5.%d: %s becomes %v", minor, status, got)
			case hidden && (!errors.Is(got, protocol.Refuse(protocol.StatusAuthorNotAllowed)) || got.Details != nil):
				t.Errorf("5.%d: %s becomes %v with %v", minor, status, got, got.Details)
			}
		}
	}
}
