"""The film in NGSolve: forms, preconditioners, GMRES; what `peer_ngsolve.py` measures.

The problem comes from an archive that femspin wrote; femspin itself is not imported, so that
memory and threads are NGSolve's own.
"""

from __future__ import annotations

from typing import Any

from film import TOLERANCE, Stopwatch, median, peak_memory

MOST_ITERATIONS = 400
DIRECT = ("PARDISO", "UMFPACK")


class Film:
    """The problem in NGSolve."""

    def __init__(self, path: str) -> None:
        import ngsolve as ng
        import numpy as np

        data = np.load(path)
        self.ng, self.np, self.data = ng, np, data
        self.order, self.regions = int(data["order"]), [str(r) for r in data["regions"]]
        self.mesh = self._mesh()
        contacts = "|".join(str(n) for n in data["electrodes"])
        charge = ng.H1(self.mesh, order=self.order, dirichlet=contacts)
        spin = ng.H1(self.mesh, order=self.order)
        self.scalars = (charge, spin)
        self.space = charge * spin * spin * spin
        self.free = self.space.FreeDofs()
        self.project = ng.Projector(self.free, True)
        with Stopwatch() as watch:
            self.integrands = {name: self._integrands(name) for name in self.regions}
        self.compile_s = watch.wall
        self.start = ng.GridFunction(self.space)
        self._prescribe()

    def _mesh(self) -> Any:
        """Return the mesh with the same vertices and cells, and the electrodes."""
        import netgen.meshing as nm

        np, data = self.np, self.data
        mesh = nm.Mesh(3)
        mesh.AddPoints(np.ascontiguousarray(data["points"]))
        mesh.Add(nm.FaceDescriptor(surfnr=1, domin=1, bc=1))
        for k, name in enumerate(self.regions, 1):
            cells = data[f"cells_{name}"]
            if cells.shape[1] == 4:  # NGSolve orients tetrahedra the other way round
                p = data["points"][cells]
                other = np.linalg.det(p[:, 1:] - p[:, :1]) > 0
                cells[other] = cells[other][:, [0, 1, 3, 2]]
            mesh.SetMaterial(k, name)
            mesh.AddElements(dim=3, index=k, data=np.ascontiguousarray(cells, np.int32), base=0)
        for k, name in enumerate(data["electrodes"], 2):
            mesh.Add(nm.FaceDescriptor(surfnr=k, domin=1, bc=k))
            faces = np.ascontiguousarray(data[f"face_{name}"], np.int32)
            mesh.AddElements(dim=2, index=k, data=faces, base=0)
            mesh.SetBCName(k - 1, str(name))
        made = self.ng.Mesh(mesh)
        if not np.array_equal(made.ngmesh.Coordinates(), data["points"]):
            raise RuntimeError("NGSolve has renumbered the vertices")
        return made

    def tensor(self, name: str) -> Any:
        """Return the form of W1 on (gradients, values), shape (16, 16), rows 4 j + eta."""
        np = self.np
        c = {
            k: self.data[f"{k}_{name}"] for k in ("dos", "diffusion", "theta", "gauge", "relaxation", "omega")
        }
        eps = np.zeros((3, 3, 3))
        for a, b, d in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            eps[a, b, d], eps[a, d, b] = 1, -1
        turn = np.zeros((3, 4, 4))  # (T_j mu)^a = eps^abc a^jb mu^c
        turn[:, 1:, 1:] = np.einsum("abc,jb->jac", eps, c["gauge"])
        jet = np.hstack([np.eye(12), turn.reshape(12, 4)])
        form = c["dos"] * c["diffusion"] * jet.T @ c["theta"] @ jet
        # Gamma mu - omega x mu
        form[13:, 13:] += c["dos"] * (c["relaxation"] - np.einsum("abc,b->ac", eps, c["omega"]))
        return form

    def _integrands(self, name: str) -> list[Any]:
        """Return the compiled form, the product of gradients apart.

        NGSolve integrates it with fewer points than what contains values.
        """
        ng, np = self.ng, self.np
        (u, du), (v, dv) = map(self._jet, self.space.TnT())

        def product(rows: slice, columns: slice, trial: Any, test: Any) -> Any:
            block = tensor[rows, columns]
            return ng.InnerProduct(ng.CF(tuple(block.ravel()), dims=block.shape) * trial, test)

        tensor, g, w = self.tensor(name), slice(0, 12), slice(12, 16)
        rest = product(w, w, u, v)
        if np.any(tensor[g, w]) or np.any(tensor[w, g]):
            rest = rest + product(g, w, u, dv) + product(w, g, du, v)
        return [
            form.Compile(realcompile=True, wait=True, maxderiv=0) for form in (product(g, g, du, dv), rest)
        ]

    def _jet(self, fields: Any) -> tuple[Any, Any]:
        """Return the values (4) and the gradients (12), entry 4 j + eta."""
        gradients = [self.ng.grad(f) for f in fields]
        rows = tuple(gradients[e][j] for j in range(3) for e in range(4))
        return self.ng.CF(tuple(fields)), self.ng.CF(rows)

    def _prescribe(self) -> None:
        """Set mu^0 on the electrodes."""
        values = dict(zip(self.data["electrodes"], self.data["potential"], strict=True))
        given = self.mesh.BoundaryCF({str(k): float(v) for k, v in values.items()}, default=0)
        contacts = self.mesh.Boundaries("|".join(values))
        self.start.components[0].Set(given, definedon=contacts)
        if any(self.np.abs(self.data[f"drift_{n}"]).max() > 0 for n in self.regions):
            raise RuntimeError("a uniform drive is not part of this comparison")

    def form(self, names: list[str], **options: Any) -> Any:
        """Return the bilinear form on some regions."""
        found = self.ng.BilinearForm(self.space, **options)
        for name in names:
            inside = self.mesh.Materials(name)
            for integrand in self.integrands[name]:
                found += integrand * self.ng.dx(definedon=inside)
        return found

    def residual(self, matrix: Any, solution: Any) -> Any:
        """Return -A u of the free dofs; there is no load."""
        r = solution.CreateVector()
        r.data = matrix * solution
        r *= -1.0
        self.project.Project(r)
        return r

    def currents(self, solution: Any) -> list[list[float]]:
        """Return the currents through the interface as the residual of F; see `film`."""
        np = self.np
        apply = self.form(["F"], nonassemble=True)
        r = solution.CreateVector()
        apply.Apply(solution, r)
        values, dofs = r.FV().NumPy(), self.data["interface"]  # vertices are the first dofs
        x = self.data["points"][dofs, 0]
        inner = (x > 1e-9 * x.max()) & (x < x.max() * (1 - 1e-9))
        starts = [self.space.Range(e).start for e in range(4)]
        chosen = (dofs[inner], dofs[inner & (x < x.max() * (0.5 + 1e-9))])
        return [[float(values[s + d].sum()) for s in starts] for d in map(np.asarray, chosen)]

    def vertex_values(self, solution: Any) -> Any:
        """Return mu at the vertices, shape (n_vertices, 4)."""
        n = len(self.data["points"])
        values = solution.FV().NumPy()
        starts = [self.space.Range(e).start for e in range(4)]
        return self.np.stack([values[s : s + n] for s in starts], axis=1)

    # ------------------------------------------------------------ preconditioners

    def node_blocks(self, components: range) -> list[list[int]]:
        """Return the free dofs of each node."""
        rows = self.np.array([self._rows(e) for e in components]).T
        return [[int(d) for d in row if d >= 0] for row in rows]

    def column_blocks(self) -> list[list[int]]:
        """Return the spin dofs of each vertical line of nodes."""
        np = self.np
        lateral = np.round(self._positions()[:, :2] / 1e-6).astype(np.int64)
        _, column = np.unique(lateral, axis=0, return_inverse=True)
        column = column.ravel()
        order = np.argsort(column, kind="stable")
        ends = np.flatnonzero(np.diff(column[order])) + 1
        rows = np.array([self._rows(e) for e in (1, 2, 3)])
        return [rows[:, nodes].ravel().tolist() for nodes in np.split(order, ends)]

    def _rows(self, component: int) -> Any:
        """Return the dof of every node, -1 where it is prescribed."""
        span = self.space.Range(component)
        rows = self.np.arange(span.start, span.stop)
        free = self.np.array(self.scalars[min(component, 1)].FreeDofs(), bool)
        return self.np.where(free, rows, -1)

    def _positions(self) -> Any:
        """Return where the scalar dofs sit: vertices, then middles of edges, faces, cells."""
        np = self.np
        points = self.data["points"]
        if self.order == 1:
            return points
        mesh, parts = self.mesh, [points]
        hexes = self.data[f"cells_{self.regions[0]}"].shape[1] == 8
        nodes = [mesh.edges] + ([mesh.faces, mesh.Elements()] if hexes else [])
        for kind in nodes:
            corners = np.array([[v.nr for v in n.vertices] for n in kind])
            parts.append(points[corners].mean(axis=1))
        found = np.concatenate(parts)
        if len(found) != self.scalars[1].ndof:
            raise RuntimeError("unknown numbering of the dofs")
        return found

    def scalar_form(self, component: int, amg: bool) -> tuple[Any, Any]:
        """Return a symmetric scalar stand-in for a diagonal block, and h1amg if asked."""
        ng, np = self.ng, self.np
        space = self.scalars[component]
        u, v = space.TnT()
        form = ng.BilinearForm(space, symmetric=True)
        for name in self.regions:
            nu, D = (float(self.data[f"{k}_{name}"]) for k in ("dos", "diffusion"))
            rate = component * float(np.trace(self.data[f"relaxation_{name}"])) / 3
            integrand = nu * D * ng.grad(u) * ng.grad(v) + nu * rate * u * v
            form += integrand * ng.dx(definedon=self.mesh.Materials(name))
        pre = ng.Preconditioner(form, "h1amg") if amg else None
        form.Assemble()
        return form, pre

    def scalar_inverse(self, component: int, amg: bool) -> Any:
        """Return an approximate inverse of a scalar stand-in."""
        form, pre = self.scalar_form(component, amg)
        self._alive = [*getattr(self, "_alive", []), form, pre]  # h1amg points at its form
        free = self.scalars[component].FreeDofs()
        return pre.mat if amg else form.mat.Inverse(free, inverse="sparsecholesky")

    def on(self, component: int, inverse: Any) -> Any:
        """Return an operator that applies a scalar inverse to one component."""
        embed = self.ng.Embedding(self.space.ndof, self.space.Range(component))
        return embed @ inverse @ embed.T

    def preconditioner(self, method: str, matrix: Any, blocks: Any) -> Any:
        """Return what a method applies."""
        if method == "diagonal":
            return matrix.CreateSmoother(self.free)
        if method in ("block Jacobi", "block Gauss-Seidel"):
            smoother = matrix.CreateBlockSmoother(blocks, parallel=True)
            return _Sweep(smoother) if "Gauss" in method else smoother
        charge, _, rest = method.partition(", ")
        amg = charge == "h1amg"
        found = self.on(0, self.scalar_inverse(0, amg))
        if rest:
            return found + matrix.CreateBlockSmoother(blocks, parallel=True)
        spin = self.scalar_inverse(1, amg)
        return sum((self.on(e, spin) for e in (1, 2, 3)), found)

    def blocks(self, method: str) -> list[list[int]] | None:
        """Return the dofs of the blocks a method needs."""
        if "columns" in method:
            return self.column_blocks()
        if method.startswith("block"):
            return self.node_blocks(range(4))
        return self.node_blocks(range(1, 4)) if "block" in method else None


class _Sweep:
    """One forward block Gauss-Seidel sweep from zero, as a preconditioner."""

    def __init__(self, smoother: Any) -> None:
        self._smoother = smoother

    def apply(self, r: Any, z: Any) -> None:
        """Set z to the sweep of r."""
        z[:] = 0.0
        self._smoother.Smooth(z, r)


def gmres(film: Film, matrix: Any, apply: Any, r: Any, target: float) -> tuple[Any, int]:
    """Return the correction and the iterations of right-preconditioned GMRES, without restart.

    Right preconditioning minimises the true residual, so no iteration is wasted on reaching it.

    Args:
        film: The problem.
        matrix: Of all dofs.
        apply: apply(r, z) sets z to the preconditioned r.
        r: Right-hand side.
        target: Norm of the residual to reach.
    """
    np = film.np
    z, w = r.CreateVector(), r.CreateVector()
    values = w.FV().NumPy()
    w.data = r
    size = float(np.linalg.norm(values))
    basis = np.zeros((MOST_ITERATIONS + 1, len(values)))  # memory is taken as rows are written
    basis[0] = values / size
    h = np.zeros((MOST_ITERATIONS + 1, MOST_ITERATIONS))
    for k in range(MOST_ITERATIONS):
        values[:] = basis[k]
        apply(w, z)
        w.data = matrix * z
        film.project.Project(w)
        for _ in range(2):  # classical Gram-Schmidt, twice
            along = basis[: k + 1] @ values
            values -= along @ basis[: k + 1]
            h[: k + 1, k] += along
        h[k + 1, k] = np.linalg.norm(values)
        basis[k + 1] = values / h[k + 1, k]
        right = np.zeros(k + 2)
        right[0] = size
        y = np.linalg.lstsq(h[: k + 2, : k + 1], right, rcond=None)[0]
        if np.linalg.norm(right - h[: k + 2, : k + 1] @ y) <= target:
            break
    values[:] = y @ basis[: k + 1]
    apply(w, z)
    return z, k + 1


def solve(film: Film, matrix: Any, method: str, blocks: Any) -> tuple[dict[str, Any], Any]:
    """Return times, iterations and true residual of one method, and the solution."""
    ng = film.ng
    u = film.start.vec.CreateVector()
    u.data = film.start.vec
    direct = method in DIRECT
    with Stopwatch() as setup:
        if direct:
            pre = matrix.Inverse(film.free, inverse=method.lower())
        else:
            pre = film.preconditioner(method, matrix, blocks)
    iterations = 0
    with Stopwatch() as work:
        r = film.residual(matrix, u)
        scale = float(ng.Norm(r))
        for _ in range(3):  # refinement of a direct solve, or restart should round-off demand it
            if ng.Norm(r) <= TOLERANCE * scale:
                break
            if direct:
                z = r.CreateVector()
                z.data = pre * r
                made = 1
            else:
                z, made = gmres(film, matrix, _action(pre), r, 0.98 * TOLERANCE * scale)
            u.data += z
            iterations += 0 if direct else made
            r = film.residual(matrix, u)
    found = {
        "method": method,
        "setup_s": setup.wall,
        "solve_s": work.wall,
        "cpu_s": setup.cpu + work.cpu,
        "iterations": iterations,
        "residual": float(ng.Norm(r)) / scale,
    }
    return found, u


def available(method: str) -> bool:
    """Return whether this installation of NGSolve has a method."""
    from ngsolve.la import GetAvailableSolvers

    return method not in DIRECT or method.lower() in GetAvailableSolvers()


def _action(pre: Any) -> Any:
    if isinstance(pre, _Sweep):
        return pre.apply

    def apply(r: Any, z: Any) -> None:
        z.data = pre * r

    return apply


def measure_ngsolve(job: dict[str, Any]) -> dict[str, Any]:
    """Return what NGSolve needs for the problem in a file.

    Args:
        job: ``problem`` (file), ``methods``, ``repeats`` and ``threads``.
    """
    import ngsolve as ng
    import numpy as np

    ng.ngsglobals.msg_level = 0
    ng.SetNumThreads(job["threads"])
    baseline = peak_memory()
    with ng.TaskManager():
        film = Film(job["problem"])
        assembly: list[dict[str, float]] = []
        for _ in range(job["repeats"]):
            form = None  # one matrix in memory at a time
            form = film.form(film.regions)
            times = {}
            for name in ("first", "again"):
                with Stopwatch() as watch:
                    form.Assemble()
                times |= {f"{name}_assembly_s": watch.wall, f"{name}_assembly_cpu_s": watch.cpu}
            assembly.append(times)
        results = [_repeated(film, form.mat, m, job["repeats"]) for m in job["methods"] if available(m)]
        peak = peak_memory()
        for result in results:
            u = result.pop("solution")
            result["currents"] = film.currents(u)
            own, other = film.vertex_values(u), film.data["mu_vertices"]
            result["mu_difference"] = (np.abs(own - other).max() / np.abs(other).max()).item()
    times = {k: median([a[k] for a in assembly]) for k in assembly[0]}
    return times | {
        "compile_s": film.compile_s,
        "results": results,
        "peak_MB": peak,
        "baseline_MB": baseline,
        "unknowns": int(film.space.ndof),
    }


def _repeated(film: Film, matrix: Any, method: str, repeats: int) -> dict[str, Any]:
    """Return the medians of a method; a slow one is not repeated."""
    blocks = film.blocks(method)  # lists made in Python: not counted, as C++ would make them
    runs = []
    for _ in range(repeats):
        found, u = solve(film, matrix, method, blocks)
        runs.append(found)
        if found["setup_s"] + found["solve_s"] > 60:
            break
    numbers = ("setup_s", "solve_s", "cpu_s")
    return runs[-1] | {k: median([r[k] for r in runs]) for k in numbers} | {"solution": u}
