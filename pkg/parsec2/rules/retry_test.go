package rules_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"parsec-server/internal/testkit/commands"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// retried is a request that was answered, and that its client sends again.
type retried struct {
	*fixture
	// first is nil if the request was sent already.
	first, again func(context.Context) error
	// waits reports whether the request waits for somebody who does not come.
	waits bool
}

// sent returns a request of a caller.
func sent[Caller, Request, Reply any](rule func(context.Context, Caller, Request) (Reply, error), caller Caller, request Request) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := rule(ctx, caller, request)
		return err
	}
}

// inRealm returns a request in a realm that has vlob 1 and block 1.
func inRealm(request func(s *realmScenario) func(context.Context) error) func(*testing.T) retried {
	return func(t *testing.T) retried {
		s := newRealmScenario(t)
		s.createVlob(1)
		s.ok(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "block")))
		call := request(s)
		return retried{fixture: s.fixture, first: call, again: call}
	}
}

// reencrypting is inRealm during a reencryption, with everything saved.
func reencryptingRealm(request func(s *realmScenario) func(context.Context) error) func(*testing.T) retried {
	return inRealm(func(s *realmScenario) func(context.Context) error {
		s.startReencryption(2)
		s.saveAll(2)
		return request(s)
	})
}

// waiting is inRealm of what waits.
func waiting(request func(s *realmScenario) func(context.Context) error) func(*testing.T) retried {
	return func(t *testing.T) retried {
		r := inRealm(request)(t)
		r.waits = true
		return r
	}
}

// conduit returns a step that both sides went through, and that one repeats.
func conduit(name string, side rules.Side) func(*testing.T) retried {
	return func(t *testing.T) retried {
		p := newPair(t)
		number := slices.Index(steps, name)
		through := number + 1
		if name == "2a" { // the nonces end together
			through++
		}
		p.through(through, rules.GreeterSide)
		said := "first"
		if side == rules.ClaimerSide {
			said = "second"
		}
		return retried{fixture: p.fixture, waits: name == "1", again: func(ctx context.Context) error {
			_, err := p.run(ctx, step{number, side}, said)
			return err
		}}
	}
}

// invitedV1 returns a command of an API 1 invitation that is there, which waits
// or not.
func invitedV1(kind string, made func(func(s *realmScenario) func(context.Context) error) func(*testing.T) retried, request func(i invitationV1, f *fixture) func(context.Context) error) func(*testing.T) retried {
	return made(func(s *realmScenario) func(context.Context) error {
		s.t.Helper()
		i := invitationsV1[kind]
		limited, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		inviting, stop := context.WithCancel(limited)
		inviter, invited := i.inviter(s.fixture), make(chan struct{})
		go func() {
			defer close(invited)
			_, _ = i.invite(inviting, s.fixture, inviter)
		}()
		there := creatorV1(i, s.fixture)
		for err := there(limited); err != nil; err = there(limited) {
			if limited.Err() != nil {
				s.t.Fatalf("the invitation does not come: %v", err)
			}
		}
		stop()
		<-invited
		return request(i, s.fixture)
	})
}

func inviteV1(i invitationV1, f *fixture) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := i.invite(ctx, f, i.inviter(f))
		return err
	}
}

func cancelV1(i invitationV1, f *fixture) func(context.Context) error {
	return func(ctx context.Context) error { return i.cancel(ctx, f, i.inviter(f)) }
}

func creatorV1(i invitationV1, f *fixture) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := i.creator(ctx, f, f.anonymous(acme))
		return err
	}
}

func claimV1(i invitationV1, f *fixture) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := i.claim(ctx, f, f.anonymous(acme), []byte("claim"))
		return err
	}
}

// briefly is how long a test lets a command wait that must wait.
const briefly = 100 * time.Millisecond

// retries has a request of every form of every command.
var retries = map[string][]func(*testing.T) retried{
	"ping": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.Ping, s.alice(), &protocol.PingRequest{Ping: "x"})
	})},
	"events_subscribe": {inRealm(func(s *realmScenario) func(context.Context) error {
		session, _ := s.session(s.Rules, s.alice())
		return sent(s.EventsSubscribe, session, &protocol.EventsSubscribeRequest{})
	})},
	"events_listen": {inRealm(func(s *realmScenario) func(context.Context) error {
		session, _ := s.session(s.Rules, s.alice())
		s.ok(s.EventsSubscribe(s.t.Context(), session, &protocol.EventsSubscribeRequest{}))
		s.ok(s.Ping(s.t.Context(), s.bob(), &protocol.PingRequest{Ping: "x"}))
		s.events.flush()
		return sent(s.EventsListen, session, &protocol.EventsListenRequest{})
	})},
	"message_get": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.MessageGet, s.alice(), &protocol.MessageGetRequest{})
	})},

	"user_get": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.UserGet, s.alice(), &protocol.UserGetRequest{UserID: bobID.User()})
	})},
	"user_create": {
		// The second sending finds no place left, but its own.
		func(t *testing.T) retried {
			limit := uint64(4)
			f := newFixture(t, withOptions(func(o *rules.Options) { o.InitialActiveUsersLimit = &limit }))
			call := sent(f.UserCreate, f.alice(), f.userCreation(f.alice(), carolID, parsec.ProfileStandard).request())
			return retried{fixture: f, first: call, again: call}
		},
		inRealm(func(s *realmScenario) func(context.Context) error {
			creation := s.userCreation(s.alice(), carolID, parsec.ProfileStandard)
			creation.user, creation.device = creation.redactedUser, creation.redactedDevice
			return sent(s.UserCreateV1, s.alice(), creation.requestV1())
		}),
	},
	"user_revoke": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.UserRevoke, s.alice(), s.revocation(s.alice(), bobID.User()))
	})},
	"user_find": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.UserFind, s.alice(), &protocol.UserFindRequest{Page: 1, PerPage: 10})
	})},
	"human_find": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.HumanFind, s.alice(), &protocol.HumanFindRequest{Page: 1, PerPage: 10})
	})},
	"device_create": {
		inRealm(func(s *realmScenario) func(context.Context) error {
			return sent(s.DeviceCreate, s.bob(), s.deviceCreation(s.bob(), bob2ID).request())
		}),
		inRealm(func(s *realmScenario) func(context.Context) error {
			return sent(s.DeviceCreateV1, s.bob(), s.deviceCreation(s.bob(), bob2ID).requestV1([]byte("answer")))
		}),
	},

	"user_invite":                   {invitedV1("user", waiting, inviteV1)},
	"user_cancel_invitation":        {invitedV1("user", inRealm, cancelV1)},
	"user_get_invitation_creator":   {invitedV1("user", inRealm, creatorV1)},
	"user_claim":                    {invitedV1("user", waiting, claimV1)},
	"device_invite":                 {invitedV1("device", waiting, inviteV1)},
	"device_cancel_invitation":      {invitedV1("device", inRealm, cancelV1)},
	"device_get_invitation_creator": {invitedV1("device", inRealm, creatorV1)},
	"device_claim":                  {invitedV1("device", waiting, claimV1)},

	"invite_new": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.InviteNew, s.alice(), forUser("zack@example.com"))
	})},
	"invite_delete": {inRealm(func(s *realmScenario) func(context.Context) error {
		token := s.inviteNew(s.alice(), forDevice())
		return sent(s.InviteDelete, s.alice(), &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationFinished})
	})},
	"invite_list": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.InviteList, s.alice(), &protocol.InviteListRequest{})
	})},
	"invite_info": {func(t *testing.T) retried {
		p := newPair(t)
		call := sent(p.InviteInfo, p.invitee, &protocol.InviteInfoRequest{})
		return retried{fixture: p.fixture, first: call, again: call}
	}},
	"invite_1_greeter_wait_peer":          {conduit("1", rules.GreeterSide)},
	"invite_2a_greeter_get_hashed_nonce":  {conduit("2a", rules.GreeterSide)},
	"invite_2b_greeter_send_nonce":        {conduit("2b", rules.GreeterSide)},
	"invite_3a_greeter_wait_peer_trust":   {conduit("3a", rules.GreeterSide)},
	"invite_3b_greeter_signify_trust":     {conduit("3b", rules.GreeterSide)},
	"invite_4_greeter_communicate":        {conduit("4", rules.GreeterSide)},
	"invite_1_claimer_wait_peer":          {conduit("1", rules.ClaimerSide)},
	"invite_2a_claimer_send_hashed_nonce": {conduit("2a", rules.ClaimerSide)},
	"invite_2b_claimer_send_nonce":        {conduit("2b", rules.ClaimerSide)},
	"invite_3a_claimer_signify_trust":     {conduit("3a", rules.ClaimerSide)},
	"invite_3b_claimer_wait_peer_trust":   {conduit("3b", rules.ClaimerSide)},
	"invite_4_claimer_communicate":        {conduit("4", rules.ClaimerSide)},
	"invite_shamir_recovery_reveal": {inRealm(func(s *realmScenario) func(context.Context) error {
		setup := s.setUpRecovery()
		invitee := s.recoveryInvitee(s.inviteNew(s.alice(), toRecover()))
		return sent(s.InviteShamirRecoveryReveal, invitee, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: setup.token})
	})},

	"pki_enrollment_submit": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.PKIEnrollmentSubmit, s.anonymous(acme), s.submission("carol"))
	})},
	"pki_enrollment_info": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.PKIEnrollmentInfo, s.anonymous(acme), &protocol.PKIEnrollmentInfoRequest{EnrollmentID: s.submitted("carol").EnrollmentID})
	})},
	"pki_enrollment_list": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.PKIEnrollmentList, s.alice(), &protocol.PKIEnrollmentListRequest{})
	})},
	"pki_enrollment_reject": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.PKIEnrollmentReject, s.alice(), &protocol.PKIEnrollmentRejectRequest{EnrollmentID: s.submitted("carol").EnrollmentID})
	})},
	"pki_enrollment_accept": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.PKIEnrollmentAccept, s.alice(), s.acceptance(s.alice(), s.submitted("carol").EnrollmentID, carolID).request())
	})},

	"shamir_recovery_setup": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.ShamirRecoverySetup, s.bob(), s.shamirCreation().request())
	})},
	"shamir_recovery_self_info": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.ShamirRecoverySelfInfo, s.bob(), &protocol.ShamirRecoverySelfInfoRequest{})
	})},
	"shamir_recovery_others_list": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.ShamirRecoveryOthersList, s.bob(), &protocol.ShamirRecoveryOthersListRequest{})
	})},

	"organization_bootstrap": {
		func(t *testing.T) retried {
			f := newFixture(t, withoutOrganization)
			call := sent(f.OrganizationBootstrap, f.anonymous(acme), f.bootstrapRequest(f.createOrganization(acme)))
			return retried{fixture: f, first: call, again: call}
		},
		func(t *testing.T) retried {
			f := newFixture(t, withoutOrganization)
			creation := f.userCreation(nil, aliceID, parsec.ProfileAdmin)
			creation.user, creation.device = creation.redactedUser, creation.redactedDevice
			signed := creation.requestV1()
			call := sent(f.OrganizationBootstrapV1, f.anonymous(acme), &protocol.OrganizationBootstrapV1Request{
				BootstrapToken: f.createOrganization(acme), RootVerifyKey: verifyKey(rootKey()),
				UserCertificate: signed.UserCertificate, DeviceCertificate: signed.DeviceCertificate,
			})
			return retried{fixture: f, first: call, again: call}
		},
	},
	"organization_stats": {
		inRealm(func(s *realmScenario) func(context.Context) error {
			return sent(s.OrganizationStats, s.alice(), &protocol.OrganizationStatsRequest{})
		}),
		inRealm(func(s *realmScenario) func(context.Context) error {
			return sent(s.AdministrationStats, somebody, &protocol.AdministrationStatsRequest{OrganizationID: acme})
		}),
	},
	"organization_config": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.OrganizationConfig, s.alice(), &protocol.OrganizationConfigRequest{})
	})},
	"archiving_config": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.ArchivingConfig, s.alice(), &protocol.ArchivingConfigRequest{})
	})},
	"organization_create": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.AdministrationCreate, somebody, &protocol.AdministrationCreateRequest{OrganizationID: other})
	})},
	"organization_status": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.AdministrationStatus, somebody, &protocol.AdministrationStatusRequest{OrganizationID: acme})
	})},
	"organization_update": {inRealm(func(s *realmScenario) func(context.Context) error {
		unlimited := protocol.Unchanged
		return sent(s.AdministrationUpdate, somebody, &protocol.AdministrationUpdateRequest{OrganizationID: acme, ExpirationDate: &unlimited})
	})},

	"realm_create": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmCreate, s.alice(), s.roleChange(s.alice(), parsec.RealmID(testUUID(2)), aliceID.User(), parsec.RoleOwner).creation())
	})},
	"realm_status": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmStatus, s.alice(), &protocol.RealmStatusRequest{RealmID: s.realm})
	})},
	"realm_stats": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmStats, s.alice(), &protocol.RealmStatsRequest{RealmID: s.realm})
	})},
	"realm_get_role_certificates": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmGetRoleCertificates, s.alice(), &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm})
	})},
	"realm_update_roles": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmUpdateRoles, s.alice(), s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleManager).update())
	})},
	"realm_update_archiving": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmUpdateArchiving, s.alice(), s.archivingChange(s.alice(), s.realm, parsec.ArchivingArchived).request())
	})},
	"realm_start_reencryption_maintenance": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmStartReencryption, s.alice(), s.reencryption(2))
	})},
	"realm_finish_reencryption_maintenance": {reencryptingRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.RealmFinishReencryption, s.alice(), &protocol.RealmFinishReencryptionRequest{RealmID: s.realm, EncryptionRevision: 2})
	})},
	"vlob_maintenance_get_reencryption_batch": {reencryptingRealm(func(s *realmScenario) func(context.Context) error {
		return func(ctx context.Context) error {
			request := &protocol.VlobGetReencryptionBatchRequest{RealmID: s.realm, EncryptionRevision: 2, Size: 10}
			_, err := s.VlobGetReencryptionBatch(ctx, s.alice(), request, 1<<20)
			return err
		}
	})},
	"vlob_maintenance_save_reencryption_batch": {reencryptingRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.VlobSaveReencryptionBatch, s.alice(), &protocol.VlobSaveReencryptionBatchRequest{
			RealmID: s.realm, EncryptionRevision: 2,
			Batch: []protocol.ReencryptionItem{{VlobID: parsec.VlobID(testUUID(1)), Version: 1, Blob: []byte("again")}},
		})
	})},

	"vlob_create": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.VlobCreate, s.alice(), s.vlobCreation(2))
	})},
	"vlob_update": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.VlobUpdate, s.alice(), s.vlobUpdate(1, 2))
	})},
	"vlob_read": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.VlobRead, s.alice(), &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: parsec.VlobID(testUUID(1))})
	})},
	"vlob_list_versions": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.VlobListVersions, s.alice(), &protocol.VlobListVersionsRequest{VlobID: parsec.VlobID(testUUID(1))})
	})},
	"vlob_poll_changes": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.VlobPollChanges, s.alice(), &protocol.VlobPollChangesRequest{RealmID: s.realm})
	})},
	"block_create": {inRealm(func(s *realmScenario) func(context.Context) error {
		return sent(s.BlockCreate, s.alice(), s.blockCreation(2, "block"))
	})},
	"block_read": {inRealm(func(s *realmScenario) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.BlockRead(ctx, s.alice(), &protocol.BlockReadRequest{BlockID: parsec.BlockID(testUUID(1))},
				func(size uint64) ([]byte, error) { return make([]byte, size), nil })
		}
	})},
}

// waitsAgain is how docs/retries.md shows a command that waits.
const waitsAgain protocol.Status = "waits"

// TestCommandsSentTwice compares what every command answers the second time with
// docs/retries.md. A second answer that is ok has had no effect of its own, but
// for what tells others.
func TestCommandsSentTwice(t *testing.T) {
	t.Parallel()
	documented := documentedRetries(t)
	forms := map[string]int{}
	for _, command := range commands.All() {
		forms[command.Name]++
	}
	for name, count := range forms {
		if len(retries[name]) != count || documented[name] == "" {
			t.Errorf("%s: %d forms, %d tested, documented as %q", name, count, len(retries[name]), documented[name])
		}
	}
	if len(documented) != len(forms) {
		t.Errorf("%d commands, %d documented", len(forms), len(documented))
	}
	tells := []string{"ping", "invite_new", "user_invite", "device_invite", "user_claim", "device_claim", "invite_1_greeter_wait_peer", "invite_1_claimer_wait_peer"}
	for name, makes := range retries {
		for _, request := range makes {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := request(t)
				if r.first != nil {
					if got := r.outcome(r.first); got != protocol.StatusOK && got != waitsAgain {
						t.Fatalf("the first time: %s", got)
					}
				}
				r.clock.advance(time.Second)
				r.events.watch(notice.AdministratorsTopic(acme))
				r.events.take()
				if got := r.outcome(r.again); got != documented[name] {
					t.Errorf("the second time: %s, documented as %s", got, documented[name])
				}
				if told := r.events.take(); len(told) > 0 && !slices.Contains(tells, name) {
					t.Errorf("the second time tells %+v", told)
				}
			})
		}
	}
}

func (r *retried) outcome(call func(context.Context) error) protocol.Status {
	r.t.Helper()
	ctx, cancel := r.t.Context(), context.CancelFunc(func() {})
	if r.waits {
		ctx, cancel = context.WithTimeout(ctx, briefly)
	}
	defer cancel()
	err := call(ctx)
	if r.waits && errors.Is(err, context.DeadlineExceeded) {
		return waitsAgain
	}
	return status(nil, err)
}

// documentedRetries returns the rows of docs/retries.md: the command and what
// it answers the second time.
func documentedRetries(t *testing.T) map[string]protocol.Status {
	t.Helper()
	document, err := os.Open("../../../docs/retries.md")
	if err != nil {
		t.Fatal(err)
	}
	defer document.Close()
	row := regexp.MustCompile("^\\| `(\\w+)` \\| `?(\\w+)`? \\|")
	documented := map[string]protocol.Status{}
	lines := bufio.NewScanner(document)
	for lines.Scan() {
		if match := row.FindStringSubmatch(lines.Text()); match != nil {
			documented[match[1]] = protocol.Status(match[2])
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return documented
}

// The same certificates with something else beside them are another request.
func TestNotTheSameRequest(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	first := f.submission("carol")
	f.ok(f.PKIEnrollmentSubmit(ctx, f.anonymous(acme), first))
	accept := f.acceptance(f.alice(), first.EnrollmentID, carolID).request()
	f.ok(f.PKIEnrollmentAccept(ctx, f.alice(), accept))
	f.clock.advance(time.Second)
	// The submitter may ask again once it is accepted.
	reply, err := f.PKIEnrollmentSubmit(ctx, f.anonymous(acme), first)
	f.ok(reply, err)
	if want := f.info(first.EnrollmentID).SubmittedOn; reply.SubmittedOn != want {
		t.Errorf("submitted on %s, want %s", reply.SubmittedOn, want)
	}
	otherAnswer := *accept
	otherAnswer.AcceptPayloadSignature = []byte("another")
	if got := status(f.PKIEnrollmentAccept(ctx, f.alice(), &otherAnswer)); got != protocol.StatusNoLongerAvailable {
		t.Errorf("another answer: %s", got)
	}
	creation := f.userCreation(f.alice(), deviceID("dave@laptop"), parsec.ProfileStandard)
	f.ok(f.UserCreate(ctx, f.alice(), creation.request()))
	creation.device.VerifyKey[0]++
	creation.redactedDevice.VerifyKey[0]++
	if got := status(f.UserCreate(ctx, f.alice(), creation.request())); got != protocol.StatusAlreadyExists {
		t.Errorf("another first device: %s", got)
	}
	setup := f.shamirCreation().request()
	f.ok(f.ShamirRecoverySetup(ctx, f.bob(), setup))
	setup.Setup.CipheredData = []byte("other data")
	if got := status(f.ShamirRecoverySetup(ctx, f.bob(), setup)); got != protocol.StatusInvalidData {
		t.Errorf("other data: %s", got)
	}
	if len(f.webhooks.bootstrapped) != 1 {
		t.Errorf("the webhook is told %d times", len(f.webhooks.bootstrapped))
	}
}

// The bootstrap sent again tells nobody; that of somebody else, or with another
// token, finds the organization bootstrapped.
func TestBootstrapSentAgain(t *testing.T) {
	f := newFixture(t, withoutOrganization)
	request := f.bootstrapRequest(f.createOrganization(acme))
	for range 3 {
		f.ok(f.OrganizationBootstrap(t.Context(), f.anonymous(acme), request))
	}
	if len(f.webhooks.bootstrapped) != 1 {
		t.Errorf("the webhook is told %d times", len(f.webhooks.bootstrapped))
	}
	wrong := *request
	wrong.BootstrapToken = "wrong"
	f.clock.advance(time.Second)
	later := f.bootstrapRequest(request.BootstrapToken)
	for name, spoilt := range map[string]*protocol.OrganizationBootstrapRequest{"token": &wrong, "certificates": later} {
		if got := status(f.OrganizationBootstrap(t.Context(), f.anonymous(acme), spoilt)); got != protocol.StatusAlreadyBootstrapped {
			t.Errorf("other %s: %s", name, got)
		}
	}
}
