package rules_test

import (
	"errors"
	"reflect"
	"regexp"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

func TestAdministrationCreate(t *testing.T) {
	limit := uint64(3)
	f := newFixture(t, withoutOrganization, withOptions(func(o *rules.Options) { o.InitialActiveUsersLimit = &limit }))
	date := f.clock.now().Add(time.Hour)
	first, err := f.AdministrationCreate(t.Context(), somebody, &protocol.AdministrationCreateRequest{OrganizationID: acme, ExpirationDate: &date})
	if err != nil || first.ExpirationDate == nil || *first.ExpirationDate != date {
		t.Fatalf("got %+v (%v)", first, err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(first.BootstrapToken) {
		t.Errorf("bootstrap token %q", first.BootstrapToken)
	}
	want := &rules.Organization{
		ID: acme, BootstrapToken: first.BootstrapToken, ExpirationDate: &date, UserProfileOutsiderAllowed: true,
		ActiveUsersLimit: &limit, MinimumArchivingPeriod: 2592000, CreatedOn: f.clock.now(),
	}
	if got := must(f.FindOrganization(t.Context(), acme)); !reflect.DeepEqual(got, want) {
		t.Errorf("organization %+v, want %+v", got, want)
	}

	f.clock.advance(time.Minute)
	second, err := f.AdministrationCreate(t.Context(), somebody, &protocol.AdministrationCreateRequest{OrganizationID: acme})
	if err != nil || second.ExpirationDate != nil || second.BootstrapToken == first.BootstrapToken {
		t.Fatalf("replacement: %+v (%v)", second, err)
	}
	want.BootstrapToken, want.ExpirationDate, want.CreatedOn = second.BootstrapToken, nil, f.clock.now()
	if got := must(f.FindOrganization(t.Context(), acme)); !reflect.DeepEqual(got, want) {
		t.Errorf("replaced organization %+v, want %+v", got, want)
	}

	f.ok(f.OrganizationBootstrap(t.Context(), f.anonymous(acme), f.bootstrapRequest(second.BootstrapToken)))
	before := must(f.FindOrganization(t.Context(), acme))
	if got := status(f.AdministrationCreate(t.Context(), somebody, &protocol.AdministrationCreateRequest{OrganizationID: acme})); got != protocol.StatusAlreadyExists {
		t.Errorf("bootstrapped: %s", got)
	}
	if got := must(f.FindOrganization(t.Context(), acme)); !reflect.DeepEqual(got, before) {
		t.Errorf("the refused creation changed %+v to %+v", before, got)
	}
}

func TestAdministrationStatus(t *testing.T) {
	f := newFixture(t)
	f.createOrganization(other)
	f.expire(other)
	now := f.clock.now()
	cases := map[parsec.OrganizationID]*protocol.AdministrationStatusReply{
		acme:  {IsBootstrapped: true, UserProfileOutsiderAllowed: true},
		other: {ExpirationDate: &now, UserProfileOutsiderAllowed: true},
	}
	for organization, want := range cases {
		got, err := f.AdministrationStatus(t.Context(), somebody, &protocol.AdministrationStatusRequest{OrganizationID: organization})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v (%v), want %+v", organization, got, err, want)
		}
	}
}

func TestAdministrationStats(t *testing.T) {
	f := newFixture(t)
	f.revoke(bobID.User())
	realm := f.storeData(acme)
	want := &protocol.AdministrationStatsReply{Users: 3, DataSize: realm.blocks, MetadataSize: realm.vlobs, Workspaces: 1}
	got, err := f.AdministrationStats(t.Context(), somebody, &protocol.AdministrationStatsRequest{OrganizationID: acme})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func TestAdministrationNotFound(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	unchanged := protocol.Unchanged
	outcomes := map[string]protocol.Status{
		"status":            status(f.AdministrationStatus(ctx, somebody, &protocol.AdministrationStatusRequest{OrganizationID: other})),
		"stats":             status(f.AdministrationStats(ctx, somebody, &protocol.AdministrationStatsRequest{OrganizationID: other})),
		"update":            status(f.AdministrationUpdate(ctx, somebody, &protocol.AdministrationUpdateRequest{OrganizationID: other, ExpirationDate: &unchanged})),
		"sequester service": status(nil, f.CreateSequesterService(ctx, other, nil, "")),
	}
	if _, err := f.FreezeUser(ctx, somebody, other, organization.UserChoice{ID: aliceID.User().String()}, true); !errors.Is(err, organization.ErrNotFound) {
		t.Errorf("freeze: %v", err)
	}
	for name, got := range outcomes {
		if got != protocol.StatusNotFound {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAdministrationUpdate(t *testing.T) {
	f := newFixture(t)
	past, future, unchanged := f.clock.now(), f.clock.now().Add(time.Hour), protocol.Unchanged
	yes, no := true, false
	// The steps are one history.
	steps := []struct {
		name       string
		date       *parsec.DateTime
		outsider   *bool
		wantDate   *parsec.DateTime
		want       bool
		wantEvents []event.Body
	}{
		{name: "nothing", date: &unchanged, want: true},
		{name: "outsiders", date: &unchanged, outsider: &no},
		{name: "date", date: &future, wantDate: &future, wantEvents: []event.Body{event.OrganizationExpiration{Date: &future}}},
		{name: "the other", date: &unchanged, outsider: &yes, wantDate: &future, want: true},
		{name: "same date", date: &future, wantDate: &future, want: true},
		{name: "past", date: &past, wantDate: &past, want: true, wantEvents: []event.Body{event.OrganizationExpiration{Date: &past}}},
		{name: "no date", want: true, wantEvents: []event.Body{event.OrganizationExpiration{}}},
	}
	for _, step := range steps {
		request := &protocol.AdministrationUpdateRequest{
			OrganizationID: acme, ExpirationDate: step.date, UserProfileOutsiderAllowed: step.outsider,
		}
		f.ok(f.AdministrationUpdate(t.Context(), somebody, request))
		got := must(f.FindOrganization(t.Context(), acme))
		if !reflect.DeepEqual(got.ExpirationDate, step.wantDate) || got.UserProfileOutsiderAllowed != step.want {
			t.Errorf("%s: expiration %v, outsiders %t", step.name, got.ExpirationDate, got.UserProfileOutsiderAllowed)
		}
		if !got.Bootstrapped() {
			t.Errorf("%s: the organization is no longer bootstrapped", step.name)
		}
		if events := f.events.bodies(); !reflect.DeepEqual(events, step.wantEvents) {
			t.Errorf("%s: events %v, want %v", step.name, events, step.wantEvents)
		}
	}
}

func TestFreezeUser(t *testing.T) {
	f := newFixture(t)
	faceless := f.userCreation(f.alice(), carolID, parsec.ProfileStandard)
	faceless.user.HumanHandle = parsec.HumanHandle{}
	f.ok(f.UserCreate(t.Context(), f.alice(), faceless.request()))
	f.revoke(malloryID.User())
	f.events.take()

	for _, user := range []parsec.UserID{carolID.User(), malloryID.User(), userID("nobody")} {
		if _, err := f.FreezeUser(t.Context(), somebody, acme, organization.UserChoice{ID: user.String()}, true); !errors.Is(err, organization.ErrUserNotFound) {
			t.Errorf("%s: %v", user, err)
		}
	}
	frozenEvent := []event.Body{notice.UserFrozen{User: bobID.User()}}
	steps := []struct {
		frozen bool
		events []event.Body
		want   protocol.Status
	}{
		{frozen: true, events: frozenEvent, want: sessionOver},
		{frozen: true, events: frozenEvent, want: sessionOver},
		{frozen: false, events: frozenEvent, want: protocol.StatusOK},
		{frozen: false, events: frozenEvent, want: protocol.StatusOK}, // sent again
	}
	for i, step := range steps {
		f.ok(f.FreezeUser(t.Context(), somebody, acme, organization.UserChoice{ID: bobID.User().String()}, step.frozen))
		if got := f.events.bodies(); !reflect.DeepEqual(got, step.events) {
			t.Errorf("step %d: events %v, want %v", i, got, step.events)
		}
		if got := status(f.DeviceCreate(t.Context(), f.bob(), f.deviceCreation(f.bob(), bob2ID).request())); got != step.want {
			t.Errorf("step %d: a command of the user gives %s, want %s", i, got, step.want)
		}
	}
}

func TestSequesterServices(t *testing.T) {
	f := newFixture(t, sequestered)
	content, signed := f.sequesterService("archive")
	byOther := must(content.Sign(rsaKey(t, "sequester_other")))
	unknown := parsec.SequesterServiceID(parsec.NewUUID())
	ctx := t.Context()

	if err := f.CreateSequesterService(ctx, acme, byOther, ""); !errors.Is(err, certificate.FailureSignature) {
		t.Errorf("signed by another authority: %v", err)
	}
	f.clock.advance(24 * time.Hour) // There is no check of dates.
	f.ok(nil, f.CreateSequesterService(ctx, acme, signed, "https://archive.example.com/"))
	created := f.clock.now()
	check := func(disabledOn *parsec.DateTime) {
		t.Helper()
		want := []rules.SequesterService{{
			ID: content.ServiceID, Label: "archive", Certificate: signed, WebhookURL: "https://archive.example.com/",
			CreatedOn: created, DisabledOn: disabledOn,
		}}
		if got, err := f.store.SequesterServices(ctx, acme); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("services %+v (%v), want %+v", got, err, want)
		}
	}
	check(nil)
	f.clock.advance(time.Hour)
	disabled := f.clock.now()
	steps := []struct {
		name       string
		do         func() error
		want       error
		disabledOn *parsec.DateTime
	}{
		{name: "create again", do: func() error { return f.CreateSequesterService(ctx, acme, signed, "") }, want: rules.ErrServiceExists},
		{name: "enable", do: func() error { return f.EnableSequesterService(ctx, acme, content.ServiceID) }, want: rules.ErrServiceEnabled},
		{name: "disable", do: func() error { return f.DisableSequesterService(ctx, acme, content.ServiceID) }, disabledOn: &disabled},
		{name: "disable again", do: func() error { return f.DisableSequesterService(ctx, acme, content.ServiceID) }, want: rules.ErrServiceDisabled, disabledOn: &disabled},
		{name: "enable again", do: func() error { return f.EnableSequesterService(ctx, acme, content.ServiceID) }},
		{name: "disable unknown", do: func() error { return f.DisableSequesterService(ctx, acme, unknown) }, want: rules.ErrServiceNotFound},
		{name: "enable unknown", do: func() error { return f.EnableSequesterService(ctx, acme, unknown) }, want: rules.ErrServiceNotFound},
	}
	for _, step := range steps {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
		check(step.disabledOn)
	}
}

func TestSequesterServiceNeedsAuthority(t *testing.T) {
	f := newFixture(t)
	_, signed := f.sequesterService("archive")
	if err := f.CreateSequesterService(t.Context(), acme, signed, ""); !errors.Is(err, rules.ErrNotSequestered) {
		t.Errorf("got %v", err)
	}
}
