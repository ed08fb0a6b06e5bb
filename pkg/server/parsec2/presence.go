package parsec2

import (
	"context"
	"time"
)

const (
	// presenceInterval is the time between two renewals of what shows other
	// instances which claimers are connected here.
	presenceInterval = 20 * time.Second
	// presenceLimit bounds each of them.
	presenceLimit = 10 * time.Second
)

// keepPresences renews until the server ends what lasts.
func (w *Wing) keepPresences() {
	ticker := time.NewTicker(presenceInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.renewPresences()
		case <-w.server.Lasting().Done():
			return
		}
	}
}

func (w *Wing) renewPresences() {
	ctx, cancel := context.WithTimeout(w.server.Lasting(), presenceLimit)
	defer cancel()
	if err := w.rules.RenewPresences(ctx); err != nil && !w.server.IsDraining() {
		w.server.Logger().Warn("the presence of claimers is not renewed", "error", err)
	}
}
