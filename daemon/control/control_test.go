package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/status"
)

func serve(t *testing.T, d Daemon) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); Serve(ctx, l, d) }()
	t.Cleanup(func() { cancel(); <-done })
	return path
}

func TestSocketIsRootsAlone(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := serve(t, Daemon{})
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("the socket's making left %v", entries)
	}
}

// A mode can be changed: the peer is asked of the kernel too.
func TestOtherUsersAreRefused(t *testing.T) {
	if os.Getenv("CONTROL_SOCKET") != "" {
		_, err := NewClient(os.Getenv("CONTROL_SOCKET")).Status(t.Context())
		fmt.Println("ANSWER", errors.Is(err, ErrPermission), err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	dir, err := os.MkdirTemp("/tmp", "control")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go Serve(ctx, l, Daemon{Status: func(context.Context) (status.Status, error) { return status.Status{}, nil }})
	os.Chmod(dir, 0o755)
	for mode, want := range map[os.FileMode]string{0o666: "ANSWER true", 0o600: "ANSWER true"} {
		os.Chmod(path, mode)
		exe := filepath.Join(dir, "test")
		b, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(exe, b, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run", "^TestOtherUsersAreRefused$")
		cmd.Env = []string{"CONTROL_SOCKET=" + path, "HOME=" + dir}
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("mode %o: %v\n%s", mode, err, out)
		}
	}
}

func TestAStaleSocketIsReplacedALiveOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another daemon answers") {
		t.Errorf("beside a live daemon: %v", err)
	}
	l.Close()
	again, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	os.Remove(path)
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("over a file: %v", err)
	}
}

func TestLimits(t *testing.T) {
	path := serve(t, Daemon{Status: func(context.Context) (status.Status, error) { return status.Status{}, nil }})
	client := NewClient(path)
	do := func(method, url string, body io.Reader) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+url, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if code := do("POST", "/v1/reload", bytes.NewReader(make([]byte, maxBody+1))); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", code)
	}
	if code := do("GET", "/v1/reload", nil); code != http.StatusMethodNotAllowed {
		t.Errorf("GET of a reload: %d", code)
	}
	if code := do("GET", "/v1/events?recent=x", nil); code != http.StatusBadRequest {
		t.Errorf("a number that is none: %d", code)
	}
	if code := do("GET", "/v2/status", nil); code != http.StatusNotFound {
		t.Errorf("another version: %d", code)
	}
	if code := do("GET", "/v1/status?"+strings.Repeat("x", 100<<10), nil); code/100 != 4 {
		t.Errorf("a long header: %d", code)
	}
}

func TestErrorsOfTheDaemon(t *testing.T) {
	path := serve(t, Daemon{
		Status: func(context.Context) (status.Status, error) { return status.Status{}, errors.New("it hangs") },
		Reload: func(context.Context) (Reload, error) {
			return Reload{}, fmt.Errorf("reload: %w", &Refusal{Schema: 1, Summary: "refused", Problems: []event.Problem{{Code: "HA001"}}})
		},
	})
	c := NewClient(path)
	var refused *Refusal
	if _, err := c.Status(t.Context()); err == nil || errors.As(err, &refused) || err.Error() != "it hangs" {
		t.Errorf("status: %v", err)
	}
	if _, err := c.Reload(t.Context()); !errors.As(err, &refused) || len(refused.Problems) != 1 {
		t.Errorf("reload: %v", err)
	}
}

func TestFollow(t *testing.T) {
	hub := event.NewHub()
	pipe := event.NewPipe(hub, 0)
	pipe.Post(event.Event{Kind: event.Degraded, Message: "past"})
	path := serve(t, Daemon{Events: hub})
	for {
		if past, c := hub.Subscribe(1); len(past) == 1 {
			c.Close()
			break
		}
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	err := NewClient(path).Events(ctx, 5, true, func(line []byte) error {
		var e event.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		got = append(got, e.Message)
		if e.Message == "past" {
			pipe.Post(event.Event{Kind: event.Degraded, Message: "new"})
			return nil
		}
		return io.EOF
	})
	if err != io.EOF || strings.Join(got, " ") != "past new" {
		t.Errorf("%q, %v", got, err)
	}
	pipe.Stop(t.Context())
}
