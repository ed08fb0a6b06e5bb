package differential

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// question is what both sides are asked.
type question = func(side *twin) (any, error)

// playedCommand is one that plays draw, in proportion to its weight.
type playedCommand struct {
	name   string
	weight int
	draw   func(w *twins) question
}

var commands = []playedCommand{
	{"user_create", 8, (*twins).userCreate},
	{"device_create", 5, (*twins).deviceCreate},
	{"user_update", 8, (*twins).userUpdate},
	{"user_revoke", 3, (*twins).userRevoke},
	{"list_frozen_users", 2, (*twins).listFrozenUsers},
	{"organization_info", 2, (*twins).organizationInfo},
	{"ping", 1, (*twins).ping},
	{"tos_get", 1, (*twins).tosGet},
	{"tos_accept", 3, (*twins).tosAccept},
	{"certificate_get", 6, (*twins).certificateGet},
	{"realm_create", 6, (*twins).realmCreate},
	{"realm_share", 12, (*twins).realmShare},
	{"realm_unshare", 5, (*twins).realmUnshare},
	{"realm_self_promote_to_owner", 14, (*twins).realmSelfPromoteToOwner},
	{"realm_rotate_key", 9, (*twins).realmRotateKey},
	{"realm_rename", 5, (*twins).realmRename},
	{"realm_update_archiving", 5, (*twins).realmUpdateArchiving},
	{"realm_get_keys_bundle", 6, (*twins).realmGetKeysBundle},
	{"vlob_create", 10, (*twins).vlobCreate},
	{"vlob_update", 10, (*twins).vlobUpdate},
	{"vlob_read_batch", 5, (*twins).vlobReadBatch},
	{"vlob_read_versions", 5, (*twins).vlobReadVersions},
	{"vlob_poll_changes", 5, (*twins).vlobPollChanges},
	{"block_create", 6, (*twins).blockCreate},
	{"block_read", 6, (*twins).blockRead},
	{"async_enrollment_submit", 10, (*twins).asyncEnrollmentSubmit},
	{"async_enrollment_info", 4, (*twins).asyncEnrollmentInfo},
	{"async_enrollment_cancel", 2, (*twins).asyncEnrollmentCancel},
	{"async_enrollment_list", 3, (*twins).asyncEnrollmentList},
	{"async_enrollment_reject", 4, (*twins).asyncEnrollmentReject},
	{"async_enrollment_accept", 9, (*twins).asyncEnrollmentAccept},
	{"invite_new_user", 6, (*twins).inviteNewUser},
	{"invite_new_device", 4, (*twins).inviteNewDevice},
	{"invite_new_shamir_recovery", 4, (*twins).inviteNewShamirRecovery},
	{"invite_list", 3, (*twins).inviteList},
	{"invite_info", 4, (*twins).inviteInfo},
	{"invite_cancel", 2, (*twins).inviteCancel},
	{"invite_complete", 2, (*twins).inviteComplete},
	{"invite_greeter_start_greeting_attempt", 4, (*twins).greeterStart},
	{"invite_claimer_start_greeting_attempt", 4, (*twins).claimerStart},
	{"invite_greeter_step", 5, (*twins).greeterStep},
	{"invite_claimer_step", 5, (*twins).claimerStep},
	{"invite_greeter_cancel_greeting_attempt", 2, (*twins).greeterCancel},
	{"invite_claimer_cancel_greeting_attempt", 2, (*twins).claimerCancel},
	{"greeting", 5, (*twins).greeting},
	{"shamir_recovery_setup", 6, (*twins).shamirRecoverySetup},
	{"shamir_recovery_delete", 2, (*twins).shamirRecoveryDelete},
	{"invite_shamir_recovery_reveal", 4, (*twins).inviteShamirRecoveryReveal},
	{"totp_setup_get_secret", 4, (*twins).totpSetupGetSecret},
	{"totp_setup_confirm", 4, (*twins).totpSetupConfirm},
	{"totp_create_opaque_key", 3, (*twins).totpCreateOpaqueKey},
	{"totp_fetch_opaque_key", 4, (*twins).totpFetchOpaqueKey},
	{"totp_setup_confirm of a reset", 3, (*twins).totpAnonymous},
	{"reset of one-time passwords", 2, (*twins).resetTOTP},
	{"account_create_send_validation_email", 6, (*twins).accountCreateSendValidationEmail},
	{"account_create_proceed", 8, (*twins).accountCreateProceed},
	{"account_recover_send_validation_email", 3, (*twins).accountRecoverSendValidationEmail},
	{"account_recover_proceed", 3, (*twins).accountRecoverProceed},
	{"account_delete_proceed", 2, (*twins).accountDelete},
	{"account_info", 1, (*twins).accountInfo},
	{"auth_method_password_get_algorithm", 2, (*twins).authMethodPasswordGetAlgorithm},
	{"auth_method_list", 3, (*twins).authMethodList},
	{"auth_method_create", 3, (*twins).authMethodCreate},
	{"auth_method_disable", 3, (*twins).authMethodDisable},
	{"vault_item_upload", 4, (*twins).vaultItemUpload},
	{"vault_item_list", 2, (*twins).vaultItemList},
	{"vault_key_rotation", 4, (*twins).vaultKeyRotation},
	{"vault_item_recovery_list", 3, (*twins).vaultItemRecoveryList},
	{"freezing", 4, (*twins).freeze},
	{"change of the organization", 3, (*twins).changeOrganization},
	{"deletion of a realm", 3, (*twins).deleteRealm},
	{"creation of a service", 4, (*twins).createSequesterService},
	{"revocation of a service", 2, (*twins).revokeSequesterService},
	{"configuration of a service", 2, (*twins).configureSequesterService},
}

// beginning has the commands that others need.
var beginning = []string{
	"user_create", "user_create", "user_create", "realm_create", "realm_rotate_key", "realm_share", "realm_share", "realm_create",
}

func named(name string) playedCommand {
	return commands[slices.IndexFunc(commands, func(command playedCommand) bool { return command.name == name })]
}

// weighted draws the place of a command.
func (w *twins) weighted() int {
	total := 0
	for _, command := range commands {
		total += command.weight
	}
	left := w.number(0, total-1)
	return slices.IndexFunc(commands, func(command playedCommand) bool {
		left -= command.weight
		return left < 0
	})
}

// found creates the organization, and bootstraps it after some attempts.
func (w *twins) found() {
	w.devices, w.authority = []parsec3.DeviceID{playDevice(0, 0)}, nil
	token := must(parsec3.ParseAccessToken(strings.Repeat("b0", 16)))
	created := organization.Founding{InitialOutsiderAllowed: true}.New(w.organization, *w.now)
	created.BootstrapToken, created.MinimumArchivingPeriod = token.String(), 10
	w.ask("creation", func(side *twin) (any, error) {
		return nil, side.store.ChangeOrganization(w.ctx, w.organization, func(tx organization.Tx) error {
			tx.PutOrganization(created)
			return nil
		})
	})
	request := w.firstUser()
	if pick(w, true, false) {
		w.authority = w.keys.authority.private
		request.SequesterAuthorityCertificate = must(certificate.SequesterAuthority{
			Timestamp: *w.now, VerifyKeyDER: w.keys.authority.public,
		}.Sign(signingKey(root)))
	}
	tokens := []*parsec3.AccessToken{nil, new(must(parsec3.ParseAccessToken(strings.Repeat("00", 16)))), &token, &token}
	for _, token := range tokens[w.number(0, 2):] {
		request.BootstrapToken = token
		w.ask("organization_bootstrap", func(side *twin) (any, error) {
			return side.OrganizationBootstrap(w.ctx, &rules.Anonymous{Organization: w.organization}, request)
		})
	}
}

func (w *twins) firstUser() *protocol.OrganizationBootstrapRequest {
	user, device := w.userCertificate(root, 0, parsec.ProfileAdmin, *w.now), w.deviceCertificate(root, w.devices[0], *w.now)
	key := signingKey(root)
	return &protocol.OrganizationBootstrapRequest{
		RootVerifyKey:   verifyKey(root),
		UserCertificate: must(user.Sign(key)), RedactedUserCertificate: must(user.Redacted().Sign(key)),
		DeviceCertificate: must(device.Sign(key)), RedactedDeviceCertificate: must(device.Redacted().Sign(key)),
	}
}

// userCertificate has one e-mail for the last two users.
func (w *twins) userCertificate(author parsec3.DeviceID, user int, profile parsec.UserProfile, date parsec.DateTime) certificate.User {
	return certificate.User{
		Author: author, Timestamp: date, UserID: playUser(user), Profile: profile,
		HumanHandle: must(parsec3.ParseHumanHandle(fmt.Sprintf("user%d@example.com", min(user, playUsers-2)), fmt.Sprint("User ", user))),
	}
}

func (w *twins) deviceCertificate(author, device parsec3.DeviceID, date parsec.DateTime) certificate.Device {
	return certificate.Device{
		Author: author, Timestamp: date, UserID: playOwner(device), DeviceID: device, Purpose: parsec3.PurposeStandard,
		DeviceLabel: must(parsec3.ParseDeviceLabel("label")), VerifyKey: verifyKey(device),
	}
}

// created remembers a device that the first side has created.
func (w *twins) created(side *twin, device parsec3.DeviceID, err error) {
	if side == w.sides[0] && err == nil {
		w.devices = append(w.devices, device)
	}
}

var everyProfile = parsec.UserProfiles[:]

func (w *twins) userCreate() question {
	author, user, date := w.administrator(), min(len(w.known()), playUsers-1), w.date()
	if w.chance(3) {
		user = w.number(0, playUsers-1)
	}
	full := w.userCertificate(author.Device, user, pick(w, everyProfile...), date)
	first := playDevice(user, 0)
	device := w.deviceCertificate(author.Device, first, date)
	request := &protocol.UserCreateRequest{
		UserCertificate: w.sign(author, full), RedactedUserCertificate: w.sign(author, full.Redacted()),
		DeviceCertificate: w.sign(author, device), RedactedDeviceCertificate: w.sign(author, device.Redacted()),
	}
	return func(side *twin) (any, error) {
		reply, err := side.UserCreate(w.ctx, author, request)
		w.created(side, first, err)
		return reply, err
	}
}

func (w *twins) deviceCreate() question {
	author := w.anyAuthor()
	id := playDevice(int(author.User[1]), w.number(1, 3))
	if w.chance(15) {
		id = playDevice(w.number(0, playUsers-1), 1)
	}
	device := w.deviceCertificate(author.Device, id, w.date())
	request := &protocol.DeviceCreateRequest{
		DeviceCertificate: w.sign(author, device), RedactedDeviceCertificate: w.sign(author, device.Redacted()),
	}
	return func(side *twin) (any, error) {
		reply, err := side.DeviceCreate(w.ctx, author, request)
		w.created(side, id, err)
		return reply, err
	}
}

func (w *twins) userUpdate() question {
	author := w.administrator()
	request := &protocol.UserUpdateRequest{UserUpdateCertificate: w.sign(author, certificate.UserUpdate{
		Author: author.Device, Timestamp: w.date(), UserID: w.target(author), NewProfile: pick(w, everyProfile...),
	})}
	return func(side *twin) (any, error) { return side.UserUpdate(w.ctx, author, request) }
}

func (w *twins) userRevoke() question {
	author := w.administrator()
	target := w.target(author)
	if _, members := w.facts(w.realm()); len(members) > 0 && w.chance(2) {
		target = pick(w, members...).User // others may have to promote themselves
	}
	request := &protocol.UserRevokeRequest{RevokedUserCertificate: w.sign(author, certificate.RevokedUser{
		Author: author.Device, Timestamp: w.date(), UserID: target,
	})}
	return func(side *twin) (any, error) { return side.UserRevoke(w.ctx, author, request) }
}

func (w *twins) listFrozenUsers() question {
	author := w.administrator()
	return func(side *twin) (any, error) {
		return side.ListFrozenUsers(w.ctx, author, &protocol.ListFrozenUsersRequest{})
	}
}

func (w *twins) organizationInfo() question {
	author := w.anyAuthor()
	return func(side *twin) (any, error) {
		return side.OrganizationInfo(w.ctx, author, &protocol.OrganizationInfoRequest{})
	}
}

func (w *twins) ping() question {
	author := w.anyAuthor()
	return func(side *twin) (any, error) { return side.Ping(w.ctx, author, &protocol.PingRequest{Ping: "ping"}) }
}

func (w *twins) tosGet() question {
	author := w.anyAuthor()
	return func(side *twin) (any, error) { return side.TOSGet(w.ctx, author, &protocol.TOSGetRequest{}) }
}

// tosAccept knows the date of the last terms, most often.
func (w *twins) tosAccept() question {
	author := w.anyAuthor()
	request := &protocol.TOSAcceptRequest{TOSUpdatedOn: *w.now}
	stored, _, err := w.sides[0].store.Organization(w.ctx, w.organization)
	if err != nil {
		w.Fatalf("organization: %v", err)
	}
	if stored.TOS != nil && !w.chance(5) {
		request.TOSUpdatedOn = stored.TOS.UpdatedOn
	}
	return func(side *twin) (any, error) { return side.TOSAccept(w.ctx, author, request) }
}

// since is a date, or nil.
func (w *twins) since() *parsec.DateTime {
	if !w.chance(3) {
		return nil
	}
	return new(*w.now - parsec.DateTime(w.number(0, 30_000_000)))
}

func (w *twins) certificateGet() question {
	author := w.anyAuthor()
	request := &protocol.CertificateGetRequest{
		CommonAfter: w.since(), SequesterAfter: w.since(), ShamirRecoveryAfter: w.since(),
		RealmAfter: map[parsec.RealmID]parsec.DateTime{},
	}
	for i := range playRealms {
		if after := w.since(); after != nil {
			request.RealmAfter[playRealm(i)] = *after
		}
	}
	return func(side *twin) (any, error) { return side.certificateGet(w.ctx, author, request) }
}

// role signs a role certificate.
func (w *twins) role(author *rules.Author, realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole) []byte {
	return w.sign(author, certificate.RealmRole{Author: author.Device, Timestamp: w.date(), RealmID: realm, UserID: user, Role: role})
}

func (w *twins) realmCreate() question {
	author := w.administrator()
	if w.chance(3) {
		author = w.anyAuthor()
	}
	role := pick(w, parsec.RoleOwner, parsec.RoleOwner, parsec.RoleOwner, parsec.RoleManager)
	request := &protocol.RealmCreateRequest{RealmRoleCertificate: w.role(author, w.anyRealm(), author.User, role)}
	return func(side *twin) (any, error) { return side.RealmCreate(w.ctx, author, request) }
}

func (w *twins) realmShare() question {
	realm := w.realm()
	author := w.manager(realm)
	role := pick(w, parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner)
	request := &protocol.RealmShareRequest{
		RealmRoleCertificate:      w.role(author, realm, w.target(author), role),
		RecipientKeysBundleAccess: fmt.Append(nil, "access of ", *w.now), KeyIndex: w.keyIndex(realm),
	}
	return func(side *twin) (any, error) { return side.RealmShare(w.ctx, author, request) }
}

func (w *twins) realmUnshare() question {
	realm := w.realm()
	author := w.manager(realm)
	target := w.target(author)
	if _, members := w.facts(realm); len(members) > 0 && !w.chance(4) {
		target = pick(w, members...).User
	}
	request := &protocol.RealmUnshareRequest{RealmRoleCertificate: w.role(author, realm, target, parsec.RoleNone)}
	return func(side *twin) (any, error) { return side.RealmUnshare(w.ctx, author, request) }
}

// promotable is most often a member that is active, and no OUTSIDER.
func (w *twins) promotable(realm parsec.RealmID) *rules.Author {
	_, members := w.facts(realm)
	members = slices.DeleteFunc(members, func(member rules.Member) bool {
		return member.Revoked || member.Profile == parsec.ProfileOutsider
	})
	if len(members) == 0 || w.chance(4) {
		return w.manager(realm)
	}
	return w.author(playDevice(int(pick(w, members...).User[1]), 0))
}

func (w *twins) realmSelfPromoteToOwner() question {
	realm := w.realm()
	author := w.promotable(realm)
	request := &protocol.RealmSelfPromoteToOwnerRequest{RealmRoleCertificate: w.role(author, realm, author.User, parsec.RoleOwner)}
	return func(side *twin) (any, error) { return side.RealmSelfPromoteToOwner(w.ctx, author, request) }
}

// realmRotateKey is for the members and services of now, most often.
func (w *twins) realmRotateKey() question {
	realm := w.realm()
	author := w.manager(realm)
	facts, members := w.facts(realm)
	request := &protocol.RealmRotateKeyRequest{
		PerParticipantKeysBundleAccess: map[parsec3.UserID][]byte{}, KeysBundle: fmt.Append(nil, "bundle of ", *w.now),
	}
	for _, member := range members {
		request.PerParticipantKeysBundleAccess[member.User] = fmt.Append(nil, "access of ", member.User)
	}
	if w.chance(15) {
		request.PerParticipantKeysBundleAccess[w.user()] = []byte("access")
	}
	if w.authority != nil {
		request.PerSequesterServiceKeysBundleAccess = w.accessesOfServices()
	}
	keyIndex := facts.KeyIndex + 1
	if w.chance(15) {
		keyIndex = uint64(w.number(1, 4))
	}
	request.RealmKeyRotationCertificate = w.sign(author, certificate.RealmKeyRotation{
		Author: author.Device, Timestamp: w.date(), RealmID: realm, KeyIndex: keyIndex, KeyCanary: []byte("canary"),
	})
	return func(side *twin) (any, error) { return side.RealmRotateKey(w.ctx, author, request) }
}

func (w *twins) accessesOfServices() map[parsec.SequesterServiceID][]byte {
	accesses := map[parsec.SequesterServiceID][]byte{}
	known, err := w.sides[0].store.SequesterServices(w.ctx, w.organization)
	if err != nil {
		w.Fatalf("services: %v", err)
	}
	for _, service := range known {
		if service.RevokedOn == nil {
			accesses[service.ID] = []byte("access")
		}
	}
	if w.chance(15) {
		accesses[w.service()] = []byte("access")
	}
	return accesses
}

func (w *twins) realmRename() question {
	realm := w.realm()
	author := w.manager(realm)
	request := &protocol.RealmRenameRequest{InitialNameOrFail: pick(w, true, false), RealmNameCertificate: w.sign(author, certificate.RealmName{
		Author: author.Device, Timestamp: w.date(), RealmID: realm, KeyIndex: w.keyIndex(realm), EncryptedName: []byte("name"),
	})}
	return func(side *twin) (any, error) { return side.RealmRename(w.ctx, author, request) }
}

func (w *twins) realmUpdateArchiving() question {
	realm := w.realm()
	author := w.manager(realm)
	archiving := certificate.RealmArchiving{Author: author.Device, Timestamp: w.date(), RealmID: realm, Type: pick(w,
		parsec.ArchivingAvailable, parsec.ArchivingAvailable, parsec.ArchivingArchived, parsec.ArchivingDeletionPlanned)}
	if archiving.Type == parsec.ArchivingDeletionPlanned {
		archiving.DeletionDate = new(archiving.Timestamp.Add(pick(w, 9*time.Second, 10*time.Second, time.Hour)))
	}
	request := &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: w.sign(author, archiving)}
	return func(side *twin) (any, error) { return side.RealmUpdateArchiving(w.ctx, author, request) }
}

func (w *twins) realmGetKeysBundle() question {
	realm := w.realm()
	author := w.manager(realm)
	request := &protocol.RealmGetKeysBundleRequest{RealmID: realm, KeyIndex: w.keyIndex(realm)}
	if w.chance(3) {
		request.KeyIndex = uint64(w.number(0, 3))
	}
	return func(side *twin) (any, error) { return side.RealmGetKeysBundle(w.ctx, author, request) }
}
