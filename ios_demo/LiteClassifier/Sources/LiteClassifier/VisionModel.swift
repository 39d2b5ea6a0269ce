import Foundation

/// A model file that is open: it runs on photos or tensors, and proves that it computes here what it
/// computed in Python.
///
/// Calls may come from any task; they wait for each other, off the main thread and off the threads
/// that Swift runs tasks on. Every error is a ``VisionError`` with a sentence for the user.
public actor VisionModel {
  /// Classes that a classifier's result names.
  static let shownClasses = 5
  /// The name of the one input of a model that takes photos: uint8, height x width x channels.
  public static let imageInput = "image"

  /// More threads than fast cores make a phone slower.
  public static var defaultThreads: Int { min(ProcessInfo.processInfo.activeProcessorCount, 4) }

  public nonisolated let file: URL
  /// What the exporter wrote of the model: task, input, outputs, labels, tolerance.
  public nonisolated let metadata: Metadata
  /// Wall-clock time of opening the file, in ms.
  public nonisolated let loadMilliseconds: Double
  /// Size of the file in bytes.
  public nonisolated let sizeBytes: Int
  private nonisolated let executor: BlockingExecutor
  /// Nil once the model is closed.
  private var opened: OpenedFile?

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  nonisolated var fileName: String { file.lastPathComponent }

  /// Open `file` with the given runtime.
  ///
  /// - Parameters:
  ///   - runtime: what runs the file. `LiteRuntime` has an `open` that brings its own.
  ///   - threads: how many one inference uses, in every model of the process.
  ///   - trust: who must have signed the file; nil for anybody, and then no `.pte` is opened, as
  ///     nothing can tell whether it is whole.
  /// - Throws: ``VisionError``. The runtime does not see a file that `trust` does not vouch for.
  public static func open(
    _ file: URL, runtime: any ModelRuntime.Type, threads: Int = defaultThreads,
    trust: Trust? = nil
  ) async throws -> VisionModel {
    let executor = BlockingExecutor(label: "VisionModel \(file.lastPathComponent)")
    let opened = try await executor.perform {
      try runtime.setThreads(threads)
      return try OpenedFile(file, runtime: runtime, trust: trust)
    }
    return VisionModel(opened, executor)
  }

  private init(_ opened: OpenedFile, _ executor: BlockingExecutor) {
    (file, metadata, sizeBytes) = (opened.file, opened.metadata, opened.sizeBytes)
    loadMilliseconds = opened.loadMilliseconds
    (self.opened, self.executor) = (opened, executor)
  }

  /// Free the model's memory. Any use after this throws `VisionError.closed`; closing again is fine.
  public func close() { opened = nil }

  private func open() throws -> OpenedFile {
    guard let opened else { throw VisionError.closed(file: fileName) }
    return opened
  }

  /// Read the golden vectors in the file.
  func golden() throws -> Golden { try open().golden() }

  /// Replay the golden vectors of the file on this device.
  ///
  /// A vector that does not run counts as failed; the others go on. Throws where there are no
  /// vectors to be read.
  public func verify() throws -> Verification {
    let classes = metadata.classRow
    let found = classes == nil ? FoundRows(metadata.output) : nil
    return Verification.replay(
      try open().golden(), classes: classes, found: found, format: metadata.format,
      forward: forward)
  }

  /// Whether the model takes photos. If not, it takes tensors that are preprocessed already.
  public nonisolated var takesPhotos: Bool { photoRefusal == nil }

  /// Why this model takes no photo; nil where it takes one.
  public nonisolated var photoRefusal: VisionError? {
    guard case .tensors(let tensors) = metadata.input else { return nil }
    return refusal(tensors)
  }

  private nonisolated func refusal(_ tensors: [Metadata.InputTensor]) -> VisionError {
    let wanted = tensors.map { tensor in
      "\(tensor.name): \(inWords(tensor.dtype, tensor.shape))"
    }
    return .takesTensors(file: fileName, inputs: wanted.joined(separator: ", "))
  }

  /// Decode a photo as small as this model allows, and run the model on it.
  public func run(_ photo: Photo) throws -> VisionResult {
    _ = try open()
    switch metadata.input {
    case .tensors(let tensors): throw refusal(tensors)
    case .image(let input): return try run(photo, input)
    }
  }

  private func run(_ photo: Photo, _ input: Metadata.ImageInput) throws -> VisionResult {
    let image: RGBImage
    switch DecodingPlan.plan(
      width: photo.width, height: photo.height, bounds: input.bounds,
      preprocessing: metadata.preprocessing)
    {
    case .refused(let refusal):
      throw refusal.error(width: photo.width, height: photo.height, bounds: input.bounds)
    case .sample(let sample):
      image = try photo.decoded(sample)
    }
    let (tensors, took) = try milliseconds { try forward([image.tensor(input.color)]) }
    let outputs = try named(tensors)
    let (content, others) = VisionContent.of(
      outputs, metadata: metadata,
      placement: input.geometry.place(height: image.height, width: image.width),
      k: Self.shownClasses)
    return VisionResult(
      content: content, outputs: outputs, others: others, milliseconds: took,
      memoryMegabytes: residentMegabytes(), width: image.width, height: image.height)
  }

  /// Run the model on tensors by the names of its inputs; return its outputs by theirs.
  ///
  /// A model that takes photos has one input, ``imageInput``.
  public func run(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
    _ = try open()
    let names =
      switch metadata.input {
      case .image: [Self.imageInput]
      case .tensors(let tensors): tensors.map(\.name)
      }
    let given = inputs.keys.sorted().joined(separator: ", ")
    guard Set(inputs.keys) == Set(names) else {
      throw failed("it takes \(names.joined(separator: ", ")), and was given \(given)")
    }
    let outputs = try named(forward(names.compactMap { inputs[$0] }))
    return Dictionary(uniqueKeysWithValues: outputs.map { ($0.spec.name, $0.tensor) })
  }

  /// Run the model on tensors in order.
  ///
  /// A photo out of bounds is refused here: a `.ptl` checks that itself, a `.pte` would compute on.
  func forward(_ inputs: [Tensor]) throws -> [Tensor] {
    let opened = try open()
    if case .image(let input) = metadata.input, let shape = inputs.first?.shape, shape.count == 3,
      let refusal = DecodingPlan.refusal(width: shape[1], height: shape[0], bounds: input.bounds)
    {
      throw refusal.error(width: shape[1], height: shape[0], bounds: input.bounds)
    }
    return try opened.forward(inputs)
  }

  /// Put the metadata's words to what came out. Throws `VisionError` where the two do not fit.
  private func named(_ tensors: [Tensor]) throws -> [NamedOutput] {
    let specs = metadata.output.tensors
    guard tensors.count == specs.count else {
      throw failed("\(tensors.count) outputs came, and the metadata states \(specs.count)")
    }
    return try zip(specs, tensors).map { spec, tensor in
      let fits =
        spec.varies ? tensor.shape.count == spec.shape.count : tensor.shape == spec.shape
      guard fits, tensor.dtype == spec.dtype else {
        throw failed(
          "output \(spec.name) is \(inWords(tensor.dtype, tensor.shape)), and not "
            + inWords(spec.dtype, spec.shape))
      }
      return NamedOutput(spec: spec, tensor: tensor)
    }
  }

  private nonisolated func failed(_ why: String) -> VisionError {
    .runFailed(file: fileName, why: why, format: metadata.format)
  }
}

/// A tensor's type and shape, as "float32 1 x 5".
private func inWords(_ dtype: DType, _ shape: [Int]) -> String {
  "\(dtype.rawValue) \(shape.map(String.init).joined(separator: " x "))"
}
