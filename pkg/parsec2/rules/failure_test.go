package rules_test

import (
	"context"
	"errors"
	"testing"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// TestStoreFailures has the store refuse to work: no command may take that for
// an answer.
func TestStoreFailures(t *testing.T) {
	f := newFixture(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	failure := func(_ any, err error) error { return err }
	pages := protocol.HumanFindRequest{Page: 1, PerPage: 1}
	_, service := f.sequesterService("archive")
	failures := map[string]error{
		"message_get":          failure(f.MessageGet(cancelled, f.alice(), &protocol.MessageGetRequest{})),
		"user_get":             failure(f.UserGet(cancelled, f.alice(), &protocol.UserGetRequest{UserID: bobID.User()})),
		"user_create":          failure(f.UserCreate(cancelled, f.alice(), f.userCreation(f.alice(), carolID, parsec.ProfileStandard).request())),
		"user_revoke":          failure(f.UserRevoke(cancelled, f.alice(), f.revocation(f.alice(), bobID.User()))),
		"user_find":            failure(f.UserFind(cancelled, f.alice(), &protocol.UserFindRequest{Page: 1, PerPage: 1})),
		"human_find":           failure(f.HumanFind(cancelled, f.alice(), &pages)),
		"device_create":        failure(f.DeviceCreate(cancelled, f.bob(), f.deviceCreation(f.bob(), bob2ID).request())),
		"bootstrap":            failure(f.OrganizationBootstrap(cancelled, f.anonymous(acme), f.bootstrapRequest(""))),
		"organization_stats":   failure(f.OrganizationStats(cancelled, f.alice(), &protocol.OrganizationStatsRequest{})),
		"organization_config":  failure(f.OrganizationConfig(cancelled, f.alice(), &protocol.OrganizationConfigRequest{})),
		"administration":       failure(f.AdministrationCreate(cancelled, somebody, &protocol.AdministrationCreateRequest{OrganizationID: other})),
		"administration stats": failure(f.AdministrationStats(cancelled, somebody, &protocol.AdministrationStatsRequest{OrganizationID: acme})),
		"freeze":               failure(f.FreezeUser(cancelled, somebody, acme, organization.UserChoice{ID: bobID.User().String()}, true)),
		"sequester service":    f.CreateSequesterService(cancelled, acme, service, ""),
		"pki_submit":           failure(f.PKIEnrollmentSubmit(cancelled, f.anonymous(acme), f.submission("carol"))),
		"pki_info":             failure(f.PKIEnrollmentInfo(cancelled, f.anonymous(acme), &protocol.PKIEnrollmentInfoRequest{})),
		"pki_list":             failure(f.PKIEnrollmentList(cancelled, f.alice(), &protocol.PKIEnrollmentListRequest{})),
		"pki_reject":           failure(f.PKIEnrollmentReject(cancelled, f.alice(), &protocol.PKIEnrollmentRejectRequest{})),
		"pki_accept":           failure(f.PKIEnrollmentAccept(cancelled, f.alice(), f.acceptance(f.alice(), parsec.EnrollmentID{}, carolID).request())),
		"user_invite":          failure(f.UserInvite(cancelled, f.alice(), &protocol.InvitedUserRequest{UserID: carolID.User()})),
		"device_invite":        failure(f.DeviceInvite(cancelled, f.bob(), &protocol.InvitedDeviceRequest{InvitedDeviceName: bob2ID.Name()})),
		"user_cancel":          failure(f.UserCancelInvitation(cancelled, f.alice(), &protocol.InvitedUserRequest{UserID: carolID.User()})),
		"device_cancel":        failure(f.DeviceCancelInvitation(cancelled, f.bob(), &protocol.InvitedDeviceRequest{InvitedDeviceName: bob2ID.Name()})),
		"user_claim":           failure(f.UserClaim(cancelled, f.anonymous(acme), &protocol.UserClaimRequest{InvitedUserID: carolID.User()})),
		"device_creator":       failure(f.DeviceGetInvitationCreator(cancelled, f.anonymous(acme), &protocol.DeviceGetInvitationCreatorRequest{InvitedDeviceID: bob2ID})),
	}
	for name, err := range failures {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.webhooks.bootstrapped) != 1 { // that of the fixture
		t.Errorf("told the webhook %v", f.webhooks.bootstrapped)
	}
}
