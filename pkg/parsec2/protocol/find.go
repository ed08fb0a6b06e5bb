package protocol

import (
	"fmt"

	"parsec-server/pkg/parsec"
)

// UserFindRequest searches users by id (API 1).
type UserFindRequest struct {
	Query       string `wire:"query,nullable,optional"`
	OmitRevoked bool   `wire:"omit_revoked,optional"`
	Page        uint64 `wire:"page,optional"`
	PerPage     uint64 `wire:"per_page,optional"`
}

// Validate refuses what is outside of docs/protocol/types.md §5.
func (r *UserFindRequest) Validate() error { return validatePages(r.Page, r.PerPage) }

// UserFindReply is one page of results.
type UserFindReply struct {
	Results []parsec.UserID `wire:"results"`
	Page    uint64          `wire:"page"`
	PerPage uint64          `wire:"per_page"`
	Total   uint64          `wire:"total"`
}

// HumanFindRequest searches users by the people behind them.
type HumanFindRequest struct {
	Query        string `wire:"query,nullable,optional"`
	OmitRevoked  bool   `wire:"omit_revoked,optional"`
	OmitNonHuman bool   `wire:"omit_non_human,optional"`
	Page         uint64 `wire:"page,optional"`
	PerPage      uint64 `wire:"per_page,optional"`
}

// Validate refuses what is outside of docs/protocol/types.md §5.
func (r *HumanFindRequest) Validate() error { return validatePages(r.Page, r.PerPage) }

// HumanFindReply is one page of results.
type HumanFindReply struct {
	Results []HumanFindResult `wire:"results"`
	Page    uint64            `wire:"page"`
	PerPage uint64            `wire:"per_page"`
	Total   uint64            `wire:"total"`
}

// HumanFindResult is one user.
type HumanFindResult struct {
	UserID      parsec.UserID      `wire:"user_id"`
	HumanHandle parsec.HumanHandle `wire:"human_handle,nullable"`
	Revoked     bool               `wire:"revoked"`
}

func validatePages(page, perPage uint64) error {
	if page < 1 {
		return fmt.Errorf("page: must be at least 1")
	}
	if perPage < 1 || perPage > maxPerPage {
		return fmt.Errorf("per_page: must be between 1 and %d", maxPerPage)
	}
	return nil
}
