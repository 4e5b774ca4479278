package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/hostarmor/hostarmor/daemon/status"
	"github.com/hostarmor/hostarmor/daemon/version"
)

// ErrNoDaemon is wrapped where nobody answers on the socket.
var ErrNoDaemon = errors.New("the daemon does not run (start it with: systemctl start hostarmor)")

// ErrPermission is wrapped where only root may ask.
var ErrPermission = errors.New("only root may talk to the daemon (try again with sudo)")

// Client talks to a daemon.
type Client struct{ http *http.Client }

// NewClient talks over the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		return c, explain(err, path)
	}
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func explain(err error, path string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w", path, ErrPermission)
	case errors.Is(err, fs.ErrNotExist) && os.Geteuid() != 0 && hidden(path):
		return fmt.Errorf("%s: %w", path, ErrPermission)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: %w", path, ErrNoDaemon)
	}
	return err
}

// hidden reports whether path cannot even be looked for.
func hidden(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrPermission)
}

// Status asks what is enforced.
func (c *Client) Status(ctx context.Context) (status.Status, error) {
	var s status.Status
	return s, c.ask(ctx, http.MethodGet, "/v1/status", &s)
}

// Version asks for the daemon's version.
func (c *Client) Version(ctx context.Context) (version.Info, error) {
	var v version.Info
	return v, c.ask(ctx, http.MethodGet, "/v1/version", &v)
}

// Reload has the daemon look at its policies now. The error is a *Refusal
// where they were refused.
func (c *Client) Reload(ctx context.Context) (Reload, error) {
	var r Reload
	return r, c.ask(ctx, http.MethodPost, "/v1/reload", &r)
}

// Unlock lets policy files be changed for a while. The error is a *Refusal
// where that could not be done.
func (c *Client) Unlock(ctx context.Context, length time.Duration) (Unlock, error) {
	var u Unlock
	q := url.Values{"for": {length.String()}}
	return u, c.ask(ctx, http.MethodPost, "/v1/unlock?"+q.Encode(), &u)
}

// Events calls line with each of the last recent events, and with those to
// come if follow, until ctx ends or line fails.
func (c *Client) Events(ctx context.Context, recent int, follow bool, line func([]byte) error) error {
	q := url.Values{"recent": {strconv.Itoa(recent)}}
	if follow {
		q.Set("follow", "1")
	}
	resp, err := c.send(ctx, http.MethodGet, "/v1/events?"+q.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		if err := line(sc.Bytes()); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	if follow {
		return fmt.Errorf("the event stream ended: %w", ErrNoDaemon)
	}
	return nil
}

func (c *Client) ask(ctx context.Context, method, path string, into any) error {
	resp, err := c.send(ctx, method, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://hostarmor"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which means nothing here
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var refusal Refusal
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&refusal); err != nil || refusal.Summary == "" {
		return nil, fmt.Errorf("the daemon answered %s", resp.Status)
	}
	switch resp.StatusCode {
	case http.StatusForbidden:
		return nil, ErrPermission
	case http.StatusConflict:
		return nil, &refusal
	}
	return nil, errors.New(refusal.Summary)
}
