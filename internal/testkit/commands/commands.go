// Package commands lists the commands, for tests of each of them.
package commands

import (
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

// All returns every form of every command of API 1 to 3.
func All() []*rpc.Form {
	return []*rpc.Form{
		protocol.Ping.Form,
		protocol.EventsSubscribe.Form, protocol.EventsListen.Form,
		protocol.MessageGet.Form,
		protocol.UserGet.Form, protocol.UserCreate.Form, protocol.UserCreateV1.Form, protocol.UserRevoke.Form,
		protocol.UserFind.Form, protocol.HumanFind.Form,
		protocol.DeviceCreate.Form, protocol.DeviceCreateV1.Form,
		protocol.UserInvite.Form, protocol.UserCancelInvitation.Form, protocol.UserGetInvitationCreator.Form,
		protocol.UserClaim.Form,
		protocol.DeviceInvite.Form, protocol.DeviceCancelInvitation.Form, protocol.DeviceGetInvitationCreator.Form,
		protocol.DeviceClaim.Form,
		protocol.InviteNew.Form, protocol.InviteDelete.Form, protocol.InviteList.Form, protocol.InviteInfo.Form,
		protocol.Invite1GreeterWaitPeer.Form, protocol.Invite2aGreeterGetHashedNonce.Form,
		protocol.Invite2bGreeterSendNonce.Form,
		protocol.Invite3aGreeterWaitPeerTrust.Form, protocol.Invite3bGreeterSignifyTrust.Form,
		protocol.Invite4GreeterCommunicate.Form,
		protocol.Invite1ClaimerWaitPeer.Form, protocol.Invite2aClaimerSendHashedNonce.Form,
		protocol.Invite2bClaimerSendNonce.Form,
		protocol.Invite3aClaimerSignifyTrust.Form, protocol.Invite3bClaimerWaitPeerTrust.Form,
		protocol.Invite4ClaimerCommunicate.Form,
		protocol.InviteShamirRecoveryReveal.Form,
		protocol.PKIEnrollmentSubmit.Form, protocol.PKIEnrollmentInfo.Form, protocol.PKIEnrollmentList.Form,
		protocol.PKIEnrollmentReject.Form,
		protocol.PKIEnrollmentAccept.Form,
		protocol.ShamirRecoverySetup.Form, protocol.ShamirRecoverySelfInfo.Form, protocol.ShamirRecoveryOthersList.Form,
		protocol.OrganizationBootstrap.Form, protocol.OrganizationBootstrapV1.Form, protocol.OrganizationStats.Form,
		protocol.OrganizationConfig.Form,
		protocol.ArchivingConfig.Form,
		protocol.AdministrationCreate.Form, protocol.AdministrationStatus.Form, protocol.AdministrationStats.Form,
		protocol.AdministrationUpdate.Form,
		protocol.RealmCreate.Form, protocol.RealmStatus.Form, protocol.RealmStats.Form,
		protocol.RealmGetRoleCertificates.Form, protocol.RealmUpdateRoles.Form,
		protocol.RealmUpdateArchiving.Form, protocol.RealmStartReencryption.Form, protocol.RealmFinishReencryption.Form,
		protocol.VlobGetReencryptionBatch.Form, protocol.VlobSaveReencryptionBatch.Form,
		protocol.VlobCreate.Form, protocol.VlobUpdate.Form, protocol.VlobRead.Form, protocol.VlobListVersions.Form,
		protocol.VlobPollChanges.Form,
		protocol.BlockCreate.Form, protocol.BlockRead.Form,
	}
}
