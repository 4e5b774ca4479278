package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/daemon/version"
)

const (
	maxBody   = 64 << 10
	maxHeader = 8 << 10
	patience  = 10 * time.Second // with a client's request, and with one line of its answer
)

// Daemon is what the server serves. Status and Reload wait for the daemon's
// loop; a *Refusal
// from Reload or Unlock is the client's to read.
type Daemon struct {
	Status func(context.Context) (status.Status, error)
	Reload func(context.Context) (Reload, error)
	// Unlock lets policy files be changed for a while; nil where there is no
	// such thing.
	Unlock  func(context.Context, time.Duration) (Unlock, error)
	Events  *event.Hub
	Version version.Info
	Log     *slog.Logger
}

// Serve answers on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, d Daemon) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", d.status)
	mux.HandleFunc("POST /v1/reload", d.reload)
	mux.HandleFunc("POST /v1/unlock", d.unlock)
	mux.HandleFunc("GET /v1/events", d.events)
	mux.HandleFunc("GET /v1/version", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, d.Version)
	})
	srv := &http.Server{
		Handler:           guard(mux),
		ConnContext:       withPeer,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: patience,
		ReadTimeout:       patience,
		IdleTimeout:       patience,
		ErrorLog:          log.New(io.Discard, "", 0), // a client that goes away is no error of ours
	}
	if d.Log != nil {
		srv.ErrorLog = slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug)
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return ctx.Err()
	}
	return err
}

// guard admits root alone, and small requests.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !trusted(r.Context()) {
			refuse(w, http.StatusForbidden, "only root may talk to the daemon")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "the request is too large")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d Daemon) status(w http.ResponseWriter, r *http.Request) {
	s, err := d.Status(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, s)
}

func (d Daemon) reload(w http.ResponseWriter, r *http.Request) {
	done, err := d.Reload(r.Context())
	conclude(w, done, err)
}

func (d Daemon) unlock(w http.ResponseWriter, r *http.Request) {
	length, err := time.ParseDuration(r.FormValue("for"))
	if err != nil || length <= 0 || length > UnlockLimit {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("for is not a duration of at most %s, as 10m", UnlockLimit))
		return
	}
	if d.Unlock == nil {
		refuse(w, http.StatusNotImplemented, "this daemon locks nothing")
		return
	}
	done, err := d.Unlock(r.Context(), length)
	conclude(w, done, err)
}

// conclude answers with what was done, or why not.
func conclude(w http.ResponseWriter, done any, err error) {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		answer(w, http.StatusConflict, refusal)
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err.Error())
	default:
		answer(w, http.StatusOK, done)
	}
}

func refuse(w http.ResponseWriter, code int, text string) {
	answer(w, code, &Refusal{Schema: status.Schema, Summary: text, Problems: []event.Problem{}})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v) // fails only where the client is gone
}

// events streams JSON lines. A client that does not read loses events and is
// told how many; one that does not read at all is dropped.
func (d Daemon) events(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("recent"))
	if r.FormValue("recent") != "" && (err != nil || n < 0) {
		refuse(w, http.StatusBadRequest, "recent is not a number")
		return
	}
	past, client := d.Events.Subscribe(n)
	defer client.Close()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/jsonl")
	send := func(line []byte) bool {
		out.SetWriteDeadline(time.Now().Add(patience))
		_, err := w.Write(line)
		return err == nil && out.Flush() == nil
	}
	var lines []byte
	for _, e := range past {
		lines = append(lines, event.Line(e)...)
	}
	if !send(lines) || r.FormValue("follow") == "" {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-client.C:
			if n := client.Lost(); n > 0 && !send(gap(n)) {
				return
			}
			if !send(event.Line(e)) {
				return
			}
		}
	}
}

func gap(n uint64) []byte {
	b, err := json.Marshal(Gap{
		Schema: event.Schema, Event: string(event.Lost), Count: n,
		Reason: "this client read too slowly; the journal has them",
	})
	if err != nil {
		panic(err) // a struct of plain values
	}
	return append(b, '\n')
}
